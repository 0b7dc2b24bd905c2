#ifndef MEDIA_LINK_H
#define MEDIA_LINK_H

#include <stdint.h>

#include "buf.h"
#include "conf.h"

/*
 * media_link(cf, id, name, now_ms, out): append an address, beginning with
 * base_url, by which anybody may fetch attachment ${id} for media_link_life_s.
 */
void media_link(const struct conf *cf, int64_t id, const char *name,
    int64_t now_ms, struct buf *out);

/*
 * media_link_read(cf, text, now_ms): the attachment that the "ID.END.PROOF"
 * of such an address opens, or 0: forged, malformed, over.
 */
int64_t media_link_read(
    const struct conf *cf, const char *text, int64_t now_ms);

#endif
