/* artifact.h - what an uploaded file is: recognised by its content, not its name.
 *
 * Pure but for reading the file. Kinds:
 *   bundle            a zip with META-INF/MANIFEST.MF and Bundle-SymbolicName
 *     runtime "c"     it has Bundle-NativeCode and no class files
 *     runtime "java"  otherwise (Java bundles may bring native code along)
 *   resource processor  a bundle with Deployment-ProvidesResourceProcessor
 *   configuration     XML of metatype 1.0-1.2 (ACE), or a JSON object for C
 *                     components ({"component": {"key": "value"}}, resource
 *                     processor "org.inaetics.rp.configuration")
 * Attributes as ACE has them (Bundle-SymbolicName, Bundle-Version, mimetype,
 * artifactName, artifactDescription, artifactSize, processorPid, filename) and
 * ours: sha256, runtime, processors ("x86-64,AArch64").
 *
 * Everything here comes from outside: hostile zips, lying manifests, path
 * tricks in names; refused with the reason, nothing is stored. */
#pragma once

#include "blobs.h"
#include <inaetics/error.h>
#include <jansson.h>

#define ARTIFACT_NAME_MAX 200u /* of the file: [A-Za-z0-9._-], not beginning with '.' */

#define ARTIFACT_BUNDLE_TYPE "application/vnd.osgi.bundle"
#define PROCESSOR_AUTOCONF "org.osgi.deployment.rp.autoconf"
#define PROCESSOR_CONFIGURATION "org.inaetics.rp.configuration"

bool artifact_name_valid(const char *name);

/* `filename` as the uploader called it. Returns {"attributes": {...},
 * "provides": [...], "requires": [...], "contracts": {"demonstrator.v1.Queue": "<digest>"}}:
 * the last three are what deployments are checked with (manifest clauses). A new reference. */
int artifact_recognise(const char *path, const char *filename, const BlobInfo *blob, json_t **ret, InaError *error);

/* Whether a bundle that brings `next` may be released after `previous` (both
 * serialised FileDescriptorSets): -EINVAL names the field, the rule and the
 * new package that would be right. Rules as tools/check-contract has them. */
int contract_check(const void *previous, size_t previous_size, const void *next, size_t next_size, InaError *error);
