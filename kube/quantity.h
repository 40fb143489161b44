/* quantity.h - Kubernetes' resource quantities: "100m", "1.5", "128Mi", "2e3".
 * Format: kubernetes.io, reference "Quantity". */
#pragma once

#include <inaetics/error.h>
#include <stdint.h>

/* In thousandths, rounded up: "100m" is 100, "1Ki" 1024000. -EINVAL, -ERANGE. */
int quantity_parse_milli(const char *text, int64_t *ret, InaError *error);
/* Whole units, rounded up. */
int quantity_parse(const char *text, int64_t *ret, InaError *error);
#define QUANTITY_SIZE 48 /* of the canonical form of any quantity that is taken */
/* The form in which Kubernetes stores it: "0.1" becomes "100m", "1024Ki" "1Mi", "1000m" "1"; spellings that are as
 * short as the canonical one ("2e3", "1.500") stay. -EINVAL, -ERANGE. */
int quantity_canonical(const char *text, char ret[QUANTITY_SIZE], InaError *error);
/* In decimal: 100 is "100m", 2000 "2". */
void quantity_format_milli(int64_t milli, char ret[QUANTITY_SIZE]);
