/* image.h - local image folders: what "image: inaetics/agent:1.2" of a
 * container stands for. The format is docs/images.md. */
#pragma once

#include "base/json.h"

#include <inaetics/error.h>

#define IMAGE_FOLDERS_MAX 16u
#define IMAGE_FILE_MAX (64u * 1024u)

typedef struct Images Images;

typedef struct Image {
    char *folder;                 /* NAME/TAG */
    JsonList entrypoint, command; /* of char * */
    JsonList environment;         /* of char *, "NAME=value" */
    char *working_directory;      /* absolute; NULL: none */
} Image;

Images *images_new(void); /* NULL: out of memory */
/* Further places to look in, in this order. -E2BIG. */
int images_add(Images *images, const char *folder, InaError *error);
/* Those of $INAETICS_IMAGES (separated by ':') and those that come with the programs. */
int images_add_standard(Images *images, InaError *error);
/* -ENOENT: the message says what was looked for. */
int images_find(const Images *images, const char *name, Image *ret, InaError *error);
/* A program that an image or a manifest names: absolute, of the image, or one of ours or in $PATH. malloc'ed. */
int image_find_program(const Image *image, const char *name, char **ret, InaError *error);
void image_clear(Image *image);
Images *images_free(Images *images);
