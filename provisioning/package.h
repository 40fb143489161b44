/* package.h - deployment packages: a zip laid out without being written.
 *
 * The first entry is META-INF/MANIFEST.MF, then bundles, then resources, each
 * in the order given, all stored (bundles are compressed already), with fixed times:
 * the same deployment gives the same bytes, on every server, at every time. The
 * layout is computed from sizes and CRCs; any range of it can be read, so that
 * a download goes on at any offset. Format: OSGi Compendium 114, and what
 * ACE's and Celix's agents accept (no signature files, no unlisted entries, no
 * resource without a processor: it would crash Celix). Each section carries
 * SHA-256-Digest (base64). Loop's thread only. */
#pragma once

#include "blobs.h"
#include <stdint.h>

#define PACKAGE_ITEMS_MAX 4096u
#define PACKAGE_SIZE_MAX UINT64_C(0xf0000000) /* of a zip without the 64-bit extensions that old readers lack */

typedef struct PackageItem {
    const char *name; /* of the entry: [A-Za-z0-9._-], "a-1.0.0.jar" */
    BlobInfo blob;
    const char *symbolic_name, *version; /* a bundle's; NULL: a resource */
    bool customizer;                     /* a resource processor's bundle */
    const char *processor;               /* a resource's Resource-Processor */
    const char *paths;                   /* ACE-RepositoryPath, or NULL */
    bool missing;                        /* fix packages: listed, not contained */
} PackageItem;

typedef struct PackageSpec {
    const char *target;  /* DeploymentPackage-SymbolicName */
    const char *version; /* "2.0.0" */
    const char *from;    /* fix package: the installed version; NULL: a full one */
    const PackageItem *items;
    size_t n_items;
} PackageSpec;

typedef struct Package Package;

/* Checks names and copies. Nothing is read from the blobs yet. */
int package_new(const PackageSpec *spec, const Blobs *blobs, Package **ret, InaError *error);
uint64_t package_size(const Package *package);
uint64_t package_content(const Package *package); /* sum of the contained items' sizes */
/* Fills `buffer` from `offset`; less than `size` only at the end. Reads blobs (page cache). -EBADMSG: one was cut. */
int package_read(Package *package, uint64_t offset, void *buffer, size_t size, size_t *ret, InaError *error);
/* SHA-256 of the whole in hex; reads all once. */
int package_digest(Package *package, char ret[BLOB_DIGEST_SIZE], InaError *error);
Package *package_ref(Package *package);
Package *package_unref(Package *package);
