/* fuzz_audit.c - any bytes as an audit event, as ranges, and as descriptors of contracts: refused with a message, or
 * read, written and read again to the same. */
#include "provisioning/artifact.h"
#include "provisioning/audit.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_event(const char *text, size_t size)
{
    AuditEvent event, again;
    InaError error = {0};
    char *line, *second;

    if (audit_parse(text, size, &event, &error) < 0) {
        if (error.message[0] == '\0')
            abort();
        return;
    }
    if (audit_format(&event, &line, NULL) < 0 || strchr(line, '\n'))
        abort();
    if (strlen(line) <= AUDIT_LINE_MAX) {
        if (audit_parse(line, strlen(line), &again, NULL) < 0 || audit_format(&again, &second, NULL) < 0 ||
            strcmp(line, second) != 0 || again.n_entries != event.n_entries)
            abort();
        free(second);
        audit_event_clear(&again);
    }
    free(line);
    audit_event_clear(&event);
}

static void check_ranges(const char *text, size_t size)
{
    Ranges ranges = {0}, again = {0};
    InaError error = {0};

    if (ranges_parse(text, size, &ranges, &error) < 0) {
        if (error.message[0] == '\0' || ranges.items)
            abort();
        return;
    }
    for (size_t i = 0; i < ranges.n; i++) {
        if (ranges.items[i].low > ranges.items[i].high || !ranges_contain(&ranges, ranges.items[i].low) ||
            !ranges_contain(&ranges, ranges.items[i].high))
            abort();
        if (i > 0 && (ranges.items[i - 1].high >= ranges.items[i].low - 1))
            abort();
        if (ranges_add(&again, ranges.items[i].low, ranges.items[i].high, NULL) < 0)
            abort();
    }
    char *one = ranges_format(&ranges), *two = ranges_format(&again);
    if (!one || !two || strcmp(one, two) != 0)
        abort();
    free(one);
    free(two);
    ranges_clear(&ranges);
    ranges_clear(&again);
}

static int ignore(void *userdata, const char *service)
{
    return service[0] ? 0 : -1;
}

static void check_contract(const char *data, size_t size)
{
    InaError error = {0};

    if (contract_services(data, size, ignore, NULL, &error) < 0 && error.message[0] == '\0')
        abort();
    (void)contract_check(data, size / 2, data + size / 2, size - size / 2, NULL);
    (void)contract_check(data, size, data, size, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;

    check_event(text, size);
    check_ranges(text, size);
    check_contract(text, size);
    return 0;
}
