/*
 * What a program that speaks to strangers may touch, told to the kernel: an
 * attacker who takes it over gets our own files and no more.
 */

#include "confine.h"

#include "../common/fence.h"
#include "../common/log.h"

#include <stddef.h>

int
confine(const struct conf *cf)
{
	static const char *const read_only[] = { "/proc/sys/kernel/random",
		"/dev/urandom", "/etc/localtime", "/usr/share/zoneinfo",
		"/etc/magic", "/usr/share/misc", "/usr/share/file",
		"/usr/lib/file" };
	struct fence f;
	size_t i;

	if (fence_begin(&f, 0) == -1) {
		log_info("confine: this kernel has no Landlock");
		return -1;
	}
	fence_grant(&f, cf->state_dir, FENCE_WRITE);
	fence_grant(&f, cf->run_dir, FENCE_WRITE);
	fence_grant(&f, cf->log_dir, FENCE_WRITE);
	fence_grant(&f, cf->media_dir, FENCE_WRITE);
	fence_grant_folder(&f, cf->db, FENCE_WRITE);
	fence_grant_folder(&f, cf->hint_socket, FENCE_WRITE);
	fence_grant(&f, cf->www_dir, FENCE_READ);
	if (*cf->magic_file != '\0')
		fence_grant(&f, cf->magic_file, FENCE_READ);
	for (i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++)
		fence_grant(&f, read_only[i], FENCE_READ);
	if (fence_end(&f) == -1) {
		log_sys("confine");
		return -1;
	}
	return 0;
}
