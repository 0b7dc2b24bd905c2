#ifndef IMAGE_H
#define IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Images by their headers: how large they are, and JPEG and PNG without what
 * their maker wrote beside the picture.  Nothing is decoded.  Bytes in, bytes
 * out: no file, no limit on their number.
 */

enum image_kind { IMAGE_JPEG, IMAGE_PNG, IMAGE_GIF, IMAGE_WEBP };

/* Where an image comes from and goes to. */
struct image_io {
	/*
	 * read(arg, at, to, n): up to ${n} bytes from ${at}, fewer only at the
	 * end; -1 failed.  write(arg, p, n): 0, or -1 failed.
	 */
	ssize_t (*read)(void *arg, uint64_t at, void *to, size_t n);
	int (*write)(void *arg, const void *p, size_t n);
	void *arg;
};

struct image {
	uint32_t width, height; /* pixels, the greatest that it names */
	unsigned orientation;   /* 1..8 as Exif counts; 1: upright */
};

/*
 * image_look(io, kind, im): what the header says.  1; 0 it is no such image,
 * cut short or malformed; -1 reading failed.
 */
int image_look(
    const struct image_io *io, enum image_kind kind, struct image *im);

/*
 * image_strip(io, kind, im): write the JPEG or PNG that ${im} was looked at of
 * without Exif, XMP, comments, previews, times and what follows its end; what
 * it takes to show it stays: colour profile and orientation.  As image_look.
 */
int image_strip(
    const struct image_io *io, enum image_kind kind, const struct image *im);

#endif
