/* revision.h - one version of a bundle: its description, its files in the
 * cache, and, while it is loaded, its shared object.
 *
 * Each version has a folder of its own, so that the loader really maps the new
 * one while the old one is still there. */
#pragma once

#include "archive.h"
#include "cache.h"
#include "components.h"
#include "description.h"

#define BUNDLE_SYMBOL "ina_bundle"

typedef struct Revision {
    Description *description;
    char digest[ARCHIVE_DIGEST_SIZE];
    char *folder; /* of its files */
    void *library;
    const InaBundleTable *table; /* NULL: not loaded */
} Revision;

/* Checks the zip and what its manifest says, unpacks it into the cache. */
int revision_install(Cache *cache, const char *zip, bool sync, Revision **ret, InaError *error);
/* From the cache, checked against its digest. */
int revision_from_cache(Cache *cache, const char *digest, Revision **ret, InaError *error);
/* Maps the shared object. -ENOEXEC: `error` says what is wrong with it. */
int revision_load(Revision *revision, InaError *error);
/* Nothing may point into it any more. */
void revision_unload(Revision *revision);
Revision *revision_free(Revision *revision); /* unloads; the files stay */

/* What archive and description say together: the library is there and can be loaded here. */
int revision_check(const Archive *archive, const Description *description, InaError *error);
