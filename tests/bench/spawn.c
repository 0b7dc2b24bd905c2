/*
 * How long a CGI program takes from start to end, alone.
 *
 *	spawn N PROGRAM [NAME=VALUE...]
 *
 * Prints the median in microseconds.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNS_MAX 20000

static int
less(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	static double took[RUNS_MAX];
	posix_spawn_file_actions_t fa;
	struct timespec a, b;
	long n = argc > 2 ? strtol(argv[1], NULL, 10) : 0, i;
	char *args[2] = { NULL, NULL };
	int status;
	pid_t pid;

	if (n <= 0 || n > RUNS_MAX)
		return 2;
	args[0] = argv[2];
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	for (i = 0; i < n; i++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		if (posix_spawn(&pid, argv[2], &fa, NULL, args, argv + 3) !=
			0 ||
		    waitpid(pid, &status, 0) != pid)
			return 1;
		if (!WIFEXITED(status) || WEXITSTATUS(status) == 127)
			return 1;
		clock_gettime(CLOCK_MONOTONIC, &b);
		took[i] = (double)(b.tv_sec - a.tv_sec) * 1e6 +
			  (double)(b.tv_nsec - a.tv_nsec) / 1e3;
	}
	qsort(took, (size_t)n, sizeof(*took), less);
	printf("%.1f\n", took[n / 2]);
	return 0;
}
