/* contract_set.h - a contract as descriptors (google/protobuf/descriptor.proto),
 * so that others can tell whether two versions of it stay compatible. */
#pragma once

#include "base/map.h"
#include <inaetics/call.h>

#define CONTRACT_TYPES_MAX 1024u
#define CONTRACT_FOLDER "META-INF/contracts/" /* in bundles; NAME.binpb */

/* A serialised FileDescriptorSet with the service and every message and enum that it can reach, one file for each
 * package, called as the contract. Made from what protobuf-c compiled in: the same contract gives the same bytes.
 * -EINVAL: built without names (optimize_for = CODE_SIZE). */
int contract_set_write(const InaContract *contract, Buffer *ret, InaError *error);
