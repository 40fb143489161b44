/* bundle_tool.h - making bundles and looking at them: `inaetics bundle
 * pack|inspect|verify`, and inaetics-bundle for builds. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define BUNDLE_PACK_FILES_MAX 2048u
#define BUNDLE_PACK_CLAUSES_MAX 256u

typedef struct BundlePack {
    const char *output;  /* the zip; replaced atomically */
    const char *name;    /* Bundle-SymbolicName */
    const char *version; /* Bundle-Version */
    const char *library; /* the shared object */
    /* "NAME=PATH": the file or, with all that is in it, the folder at PATH as NAME. */
    const char *const *files;
    size_t n_files;
    const char *const *provides; /* clauses for Provide-Capability, beside those of the components' table */
    size_t n_provides;
    const char *const *requires;
    size_t n_requires;
    const char *const *headers; /* "Name: value" */
    size_t n_headers;
    bool unloaded; /* the library is not loaded (it is for another machine): no capabilities from its table */
} BundlePack;

/* Packs; equal input gives equal bytes. The library is loaded to read its
 * table: each provided service becomes a capability, each required one a
 * requirement that does not block resolving (services come and go at run
 * time). The framework's version becomes one that does. Each contract that it
 * provides or uses goes along as META-INF/contracts/NAME.binpb (contract_set.h),
 * unless `files` has that name. */
int bundle_pack(const BundlePack *pack, InaError *error);
/* Prints headers, capabilities and entries. */
int bundle_inspect(const char *zip, FILE *output, InaError *error);
/* Checks the zips and whether, together, they could be started here; prints a line for each. */
int bundle_verify(const char *const *zips, size_t n_zips, FILE *output, InaError *error);

/* The command: argv[0] is "pack", "inspect", "verify" or "help". -EINVAL: wrong usage. */
int bundle_tool(int argc, char *const *argv, FILE *output, InaError *error);
extern const char bundle_tool_usage[];
