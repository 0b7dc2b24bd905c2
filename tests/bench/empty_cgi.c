/* The floor for plain CGI: a static C program that answers and ends. */
#include <stdio.h>

int
main(void)
{
	return fputs("Status: 200 OK\r\n"
		     "Content-Type: application/json; charset=utf-8\r\n"
		     "Cache-Control: no-store\r\n\r\n{\"success\":true}\n",
		   stdout) < 0;
}
