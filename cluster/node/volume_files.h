/* volume_files.h - volumes that are files made of objects: configMap, secret,
 * downwardAPI, and projected, which joins them. */
#pragma once

#include <inaetics/error.h>
#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

#define ACCOUNT_FILE_MAX (256u * 1024u)

typedef struct VolumeFiles {
    const json_t *pod;
    const char *node, *address, *host_address;
    const char *account; /* folder of the service account; NULL: none */
    /* kind: "configmaps", "secrets"; NULL: not there. */
    const json_t *(*find)(void *userdata, const char *kind, const char *name);
    /* The folder is complete: gives it to whom it belongs. NULL: nobody else. */
    int (*own)(void *userdata, const char *folder, InaError *error);
    void *userdata;
} VolumeFiles;

/* `volume`: an item of spec.volumes. A key that is missing: -ENOENT. All files are there at once, or as before: as with
 * Kubernetes' node they are in a folder of their own, to which "..data" leads, and their names lead to ..data/NAME. May
 * be written again. */
int volume_files_write(const VolumeFiles *files, const json_t *volume, const char *folder, InaError *error);
/* Written beside and renamed, without waiting for the disk. */
int volume_write_file(const char *path, const void *data, size_t size, mode_t mode, InaError *error);
