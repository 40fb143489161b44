/* artifact.h - what an uploaded file is: recognised by its content, not its name.
 *
 * Pure but for reading the file. Kinds:
 *   bundle            a zip with META-INF/MANIFEST.MF and Bundle-SymbolicName; classes are classes,
 *                     native code is there and for the processor that the manifest says
 *     runtime "c"     it has Bundle-NativeCode and no class files
 *     runtime "java"  otherwise (Java bundles may bring native code along)
 *   resource processor  a bundle with Deployment-ProvidesResourceProcessor
 *   configuration     XML of metatype 1.0-1.2 (ACE), or a JSON object for C
 *                     components ({"component": {"key": "value"}}, resource
 *                     processor "org.inaetics.rp.configuration")
 * Attributes as ACE has them (Bundle-SymbolicName, Bundle-Version, mimetype,
 * artifactName, artifactDescription, artifactSize, processorPid, filename) and
 * ours: sha256, runtime, processors ("x86-64,AArch64"), and for Java bundles
 * javaVersion ("17": the highest that its classes ask for) and, for fragments,
 * which are never started, fragmentHost.
 *
 * Everything here comes from outside: hostile zips, lying manifests, path
 * tricks in names; refused with the reason, nothing is stored. In any thread. */
#pragma once

#include "blobs.h"
#include <inaetics/error.h>
#include <jansson.h>
#include <stdatomic.h>

#define ARTIFACT_NAME_MAX 200u /* of the file: [A-Za-z0-9._-], not beginning with '.' */

#define ARTIFACT_BUNDLE_TYPE "application/vnd.osgi.bundle"
#define PROCESSOR_AUTOCONF "org.osgi.deployment.rp.autoconf"
#define PROCESSOR_CONFIGURATION "org.inaetics.rp.configuration"

bool artifact_name_valid(const char *name);

#define ARTIFACT_CONFIGURATION_MAX (1024u * 1024u)
#define ARTIFACT_CONTRACTS                                                                                             \
    "META-INF/contracts/" /* NAME.binpb: serialised FileDescriptorSets, as `inaetics bundle pack` adds them */
#define ARTIFACT_CONTRACTS_MAX 64u

/* `filename` as the uploader called it. Returns {"attributes": {...},
 * "provides": [...], "requires": [...], "contracts": {"demonstrator.v1.Queue": "<digest>"}}:
 * the last three are what deployments are checked with: manifest clauses, and
 * the services that the bundle's descriptors declare, each with the digest of
 * the entry that says so. Equal digests need no contract check. A new reference.
 * -EINVAL: the file is wrong; -EFBIG. */
int artifact_recognise(const char *path, const char *filename, const BlobInfo *blob, json_t **ret, InaError *error);
/* The same; -ECANCELED soon after `stop` (NULL: never) is true. */
int artifact_recognise_until(const char *path, const char *filename, const BlobInfo *blob, const atomic_bool *stop,
                             json_t **ret, InaError *error);

/* What the root element of an XML text is: its local name and its namespace ("" when it has none). Refused
 * (-EINVAL): document types, so that no entity is ever defined; encodings other than UTF-8; what is no XML up to there.
 */
#define XML_NAME_MAX 255u
int xml_root(const char *text, size_t size, char ret_name[XML_NAME_MAX + 1], char ret_space[XML_NAME_MAX + 1],
             InaError *error);

/* Whether a bundle that brings `next` may be released after `previous` (both
 * serialised FileDescriptorSets): -EINVAL names the field, the rule and the
 * new package that would be right. Rules as tools/check-contract has them, but
 * that a declaration that is absent counts as removed only when its file is there:
 * two bundles may bring different parts of one package. */
int contract_check(const void *previous, size_t previous_size, const void *next, size_t next_size, InaError *error);
/* The same for all descriptors of two bundles (paths of the zips). */
int artifact_contract_check(const char *previous_path, const char *next_path, InaError *error);
/* Calls `each` for every service that a descriptor set declares ("demonstrator.v1.Queue"). -EINVAL: it is none. */
int contract_services(const void *set, size_t size, int (*each)(void *userdata, const char *service), void *userdata,
                      InaError *error);
