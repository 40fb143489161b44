/* The event stream: numbers, repeats after a break, slow readers. */
#include "provisioning/stream.h"
#include "tests/base/http_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const StreamAudience everybody;

typedef struct Place {
    Fixture f;
    Stream *stream;
} Place;

typedef struct Reader {
    int fd;
    char *text;
    size_t size, capacity;
} Reader;

static void serve(void *userdata, InaHttpRequest *request)
{
    Place *place = userdata;
    StreamReader reader = {.permissions = UINT32_MAX};
    const char *may = ina_http_header(request, "May"), *name = ina_http_header(request, "Name");
    if (may)
        reader.permissions = (uint32_t)strtoul(may, NULL, 0);
    snprintf(reader.name, sizeof(reader.name), "%s", name ? name : "");
    stream_serve(place->stream, request, &reader);
}

/* Of a reader who may see `may` and is called `name`. */
static const char *cursor_of(const Place *place, uint32_t may, const char *name)
{
    static char cursor[STREAM_CURSOR_MAX];
    StreamReader reader = {.permissions = may};
    snprintf(reader.name, sizeof(reader.name), "%s", name);
    stream_cursor(place->stream, &reader, cursor);
    return cursor;
}

/* Of a reader that says nothing of itself. */
static const char *cursor_now(const Place *place)
{
    return cursor_of(place, UINT32_MAX, "");
}

static void begin(Place *place)
{
    InaError error = {0};
    fixture_start(&place->f, NULL);
    assert_int_equal(stream_new(place->f.event, &place->stream, &error), 0);
    assert_int_equal(http_server_handle(place->f.server, "/events", serve, place, &error), 0);
}

static void end(Place *place)
{
    place->stream = stream_free(place->stream);
    fixture_stop(&place->f);
}

/* In HTTP/1.0, so that there are no chunks in the text. */
static void reader_open(Place *place, Reader *reader, const char *header)
{
    char text[256];
    size_t before = stream_clients(place->stream);
    *reader = (Reader){.fd = bare_connect(place->f.address)};
    snprintf(text, sizeof(text), "GET /events HTTP/1.0\r\nHost: x\r\n%s\r\n", header);
    bare_send(reader->fd, text);
    fixture_until(&place->f, stream_clients(place->stream) == before + 1);
}

static void reader_close(Reader *reader)
{
    close(reader->fd);
    free(reader->text);
}

/* What came so far. */
static const char *reader_text(Reader *reader)
{
    for (;;) {
        if (reader->size + 65536 > reader->capacity) {
            reader->capacity = 2 * reader->capacity + 131072;
            reader->text = realloc(reader->text, reader->capacity);
            assert_non_null(reader->text);
        }
        ssize_t got = recv(reader->fd, reader->text + reader->size, 65535, MSG_DONTWAIT);
        reader->size += got > 0 ? (size_t)got : 0;
        reader->text[reader->size] = '\0';
        if (got <= 0)
            return reader->text;
    }
}

static void tell(Place *place, const char *type, const char *key, int value)
{
    stream_tell(place->stream, type, key, everybody, json_integer(value));
}

static void tell_and_flush(Place *place, int value)
{
    uint64_t before = stream_number(place->stream);
    tell(place, "revision", "", value);
    fixture_until(&place->f, stream_number(place->stream) != before);
}

/* The values of events of a type, in order: "1 2 3 ". */
static void values(const char *text, char *ret, size_t size)
{
    size_t used = 0;
    ret[0] = '\0';
    for (const char *at = text; (at = strstr(at, "\ndata: ")); at++)
        used += (size_t)snprintf(ret + used, used < size ? size - used : 0, "%d ", (int)strtol(at + 7, NULL, 10));
    assert_true(used < size);
}

static void events_of_one_turn_are_told_once_with_the_newest_value(void **state)
{
    Place place;
    Reader reader;
    char seen[256];

    begin(&place);
    reader_open(&place, &reader, "");
    tell(&place, "target", "t1", 1);
    tell(&place, "target", "t2", 2);
    tell(&place, "target-gone", "t1", 3);
    tell(&place, "target", "t1", 4);
    fixture_until(&place.f, strstr(reader_text(&reader), "data: 4\n\n"));
    values(reader_text(&reader), seen, sizeof(seen));
    assert_string_equal(seen, "2 3 4 ");
    assert_non_null(strstr(reader.text, "event: target-gone\n"));
    reader_close(&reader);
    end(&place);
}

static void who_comes_back_gets_exactly_what_was_missed(void **state)
{
    Place place;
    Reader reader;
    char header[128], seen[8192], expected[8192];
    size_t used = 0;

    begin(&place);
    snprintf(header, sizeof(header), "Last-Event-ID: %s\r\n", cursor_now(&place));
    seen[0] = '\0';
    for (int round = 0, number = 0; round < 20; round++) {
        char cursor[STREAM_CURSOR_MAX];
        for (int i = 0; i < 5; i++)
            tell_and_flush(&place, ++number);
        reader_open(&place, &reader, header);
        for (int i = 0; i < 3; i++)
            tell_and_flush(&place, ++number);
        char last[32];
        snprintf(last, sizeof(last), "data: %d\n\n", number);
        fixture_until(&place.f, strstr(reader_text(&reader), last));
        assert_null(strstr(reader.text, "event: reset"));
        values(reader.text, seen + strlen(seen), sizeof(seen) - strlen(seen));
        snprintf(cursor, sizeof(cursor), "%s", cursor_now(&place));
        snprintf(header, sizeof(header), "Last-Event-ID: %s\r\n", cursor);
        reader_close(&reader);
    }
    for (int i = 1; i <= 160; i++)
        used += (size_t)snprintf(expected + used, sizeof(expected) - used, "%d ", i);
    assert_string_equal(seen, expected);
    end(&place);
}

static void an_unknown_or_too_old_cursor_is_told_to_read_anew(void **state)
{
    static const char *const wrong[] = {"x", "-1", "0000000000000000-0", "", "99999999999999999999999-1", "\"", "a-b"};
    Place place;
    Reader reader;
    char header[160], old[STREAM_CURSOR_MAX];

    begin(&place);
    tell_and_flush(&place, 1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        snprintf(header, sizeof(header), "Last-Event-ID: %s\r\n", wrong[i]);
        reader_open(&place, &reader, header);
        fixture_until(&place.f, strstr(reader_text(&reader), "event: reset\n"));
        assert_null(strstr(reader.text, "data: 1\n"));
        reader_close(&reader);
        fixture_until(&place.f, stream_clients(place.stream) == 0);
    }
    /* Of this start, but not told yet. */
    snprintf(header, sizeof(header), "Last-Event-ID: %.17s99%s\r\n", cursor_now(&place),
             strrchr(cursor_now(&place), '-'));
    reader_open(&place, &reader, header);
    fixture_until(&place.f, strstr(reader_text(&reader), "event: reset\n"));
    reader_close(&reader);
    fixture_until(&place.f, stream_clients(place.stream) == 0);
    snprintf(old, sizeof(old), "%s", cursor_now(&place));
    for (unsigned i = 0; i <= STREAM_KEPT; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%u", i);
        tell(&place, "audit", key, (int)i);
    }
    fixture_run(&place.f, 1000);
    snprintf(header, sizeof(header), "Last-Event-ID: %s\r\n", old);
    reader_open(&place, &reader, header);
    fixture_until(&place.f, strstr(reader_text(&reader), "event: reset\n"));
    reader_close(&reader);
    end(&place);
}

/* 12 MB: far more than waits for one client. */
static void tell_all_that_is_kept(Place *place)
{
    char text[1200];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 0; i < STREAM_KEPT; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%u", i);
        stream_tell(place->stream, "audit", key, everybody, json_pack("{s:i,s:s}", "n", (int)i, "text", text));
    }
}

static void a_long_absence_is_repeated_as_fast_as_it_is_read(void **state)
{
    Place place;
    Reader reader;
    char header[128];

    begin(&place);
    snprintf(header, sizeof(header), "Last-Event-ID: %s\r\n", cursor_now(&place));
    tell_all_that_is_kept(&place);
    fixture_run(&place.f, 1000);
    reader_open(&place, &reader, header);
    fixture_until(&place.f, strstr(reader_text(&reader) + (reader.size > 3000 ? reader.size - 3000 : 0), "\"n\":9999"));
    size_t events = 0;
    /* Not strstr, of which the sanitizer looks at the whole text each time. */
    for (const char *at = reader.text; (at = strchr(at, '{')); at++)
        if (strncmp(at, "{\"n\":", 5) == 0)
            assert_int_equal(strtoul(at + 5, NULL, 10), events++);
    assert_int_equal(events, STREAM_KEPT);
    reader_close(&reader);
    end(&place);
}

static void who_does_not_read_is_closed_and_others_go_on(void **state)
{
    Place place;
    Reader slow, reader;
    char text[60000];

    begin(&place);
    reader_open(&place, &slow, "");
    reader_open(&place, &reader, "");
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    unsigned n = 0;
    uint64_t limit = fixture_now() + PATIENCE;
    while (stream_clients(place.stream) == 2) {
        assert_true(fixture_now() < limit);
        char last[32];
        n++;
        stream_tell(place.stream, "audit", "x", everybody, json_pack("{s:s,s:i}", "text", text, "n", (int)n));
        snprintf(last, sizeof(last), "\"n\":%u}", n);
        fixture_until(&place.f, strstr(reader_text(&reader) + (reader.size > 100 ? reader.size - 100 : 0), last));
    }
    assert_int_equal(stream_clients(place.stream), 1);
    tell(&place, "revision", "", 7);
    fixture_until(&place.f, strstr(reader_text(&reader) + reader.size - 100, "data: 7\n"));
    reader_close(&slow);
    reader_close(&reader);
    end(&place);
}

static void readers_that_leave_are_forgotten(void **state)
{
    Place place;
    Reader readers[50];

    begin(&place);
    for (unsigned i = 0; i < 50; i++)
        reader_open(&place, &readers[i], "");
    for (unsigned i = 0; i < 50; i += 2)
        reader_close(&readers[i]);
    fixture_until(&place.f, stream_clients(place.stream) == 25);
    tell(&place, "revision", "", 7);
    for (unsigned i = 1; i < 50; i += 2)
        fixture_until(&place.f, strstr(reader_text(&readers[i]), "data: 7\n"));
    place.stream = stream_free(place.stream);
    for (unsigned i = 1; i < 50; i += 2)
        reader_close(&readers[i]);
    fixture_stop(&place.f);
}

static void readers_are_told_what_they_may_see_and_where_they_are(void **state)
{
    static const StreamAudience first = {.permissions = 1}, both = {.permissions = 3}, hers = {4, "ann"};
    Place place;
    Reader some, ann;
    char seen[256], header[160];

    begin(&place);
    reader_open(&place, &some, "May: 1\r\nName: bob\r\n");
    reader_open(&place, &ann, "May: 2\r\nName: ann\r\n");
    stream_tell(place.stream, "target", "a", first, json_integer(1));
    stream_tell(place.stream, "target", "b", both, json_integer(2));
    stream_tell(place.stream, "workspace", "c", hers, json_integer(3));
    tell_and_flush(&place, 4);
    fixture_until(&place.f, strstr(reader_text(&some), "data: 4\n") && strstr(reader_text(&ann), "data: 4\n"));
    values(some.text, seen, sizeof(seen));
    assert_string_equal(seen, "1 4 ");
    values(ann.text, seen, sizeof(seen));
    assert_string_equal(seen, "3 4 ");
    /* More than is kept pass by: who hears none of them is told the number, and goes on from there. */
    uint64_t before = stream_number(place.stream);
    for (unsigned i = 0; i <= STREAM_KEPT; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%u", i);
        stream_tell(place.stream, "audit", key, both, json_integer(7));
    }
    fixture_until(&place.f, stream_number(place.stream) != before);
    fixture_until(&place.f, strstr(reader_text(&some), "event: cursor\n"));
    assert_null(strstr(some.text, "data: 7\n"));
    snprintf(header, sizeof(header), "id: %s\n", cursor_of(&place, 1, "bob"));
    assert_non_null(strstr(some.text, header));
    reader_close(&some);
    snprintf(header, sizeof(header), "May: 1\r\nName: bob\r\nLast-Event-ID: %s\r\n", cursor_of(&place, 1, "bob"));
    fixture_until(&place.f, stream_clients(place.stream) == 1);
    reader_open(&place, &some, header);
    tell_and_flush(&place, 8);
    fixture_until(&place.f, strstr(reader_text(&some), "data: 8\n"));
    assert_null(strstr(some.text, "event: reset"));
    reader_close(&some);
    reader_close(&ann);
    end(&place);
}

static bool only_ann(void *userdata, StreamReader *reader)
{
    reader->permissions = 3;
    return strcmp(reader->name, "ann") == 0;
}

static void who_may_not_read_any_more_is_closed_and_who_may_see_more_reads_anew(void **state)
{
    static const StreamAudience first = {.permissions = 1};
    Place place;
    Reader bob, ann;

    begin(&place);
    stream_watch_readers(place.stream, only_ann, NULL);
    reader_open(&place, &bob, "May: 3\r\nName: bob\r\n");
    reader_open(&place, &ann, "May: 2\r\nName: ann\r\n");
    stream_check(place.stream);
    assert_int_equal(stream_clients(place.stream), 1);
    fixture_until(&place.f, strstr(reader_text(&ann), "event: reset\n"));
    stream_check(place.stream);
    stream_tell(place.stream, "target", "a", first, json_integer(1));
    fixture_until(&place.f, strstr(reader_text(&ann), "data: 1\n"));
    assert_null(strstr(strstr(ann.text, "event: reset") + 1, "event: reset"));
    assert_null(strstr(reader_text(&bob), "data: 1\n"));
    reader_close(&bob);
    reader_close(&ann);
    end(&place);
}

static void a_cursor_counts_for_who_was_told_it_and_as_long_as_the_same_may_be_seen(void **state)
{
    static const struct {
        const char *told_may, *told_name, *header;
        bool resets;
    } cases[] = {
        {"1", "ann", "May: 1\r\nName: ann\r\n", false}, {"1", "ann", "May: 3\r\nName: ann\r\n", true},
        {"3", "ann", "May: 1\r\nName: ann\r\n", true},  {"3", "ann", "May: 3\r\nName: bob\r\n", true},
        {"3", "ann", "May: 3\r\nName: ann\r\n", false},
    };
    static const StreamAudience second = {.permissions = 2};
    Place place;

    begin(&place);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        Reader reader;
        char header[160];
        snprintf(header, sizeof(header), "%sLast-Event-ID: %s\r\n", cases[i].header,
                 cursor_of(&place, (uint32_t)strtoul(cases[i].told_may, NULL, 0), cases[i].told_name));
        /* While the reader is away, something that it could not see; then its role is raised. */
        stream_tell(place.stream, "target", "a", second, json_integer(1));
        tell_and_flush(&place, 2);
        reader_open(&place, &reader, header);
        tell_and_flush(&place, 3);
        fixture_until(&place.f, strstr(reader_text(&reader), "data: 3\n"));
        assert_int_equal(strstr(reader.text, "event: reset\n") != NULL, cases[i].resets);
        assert_int_equal(strstr(reader.text, "data: 2\n") != NULL, !cases[i].resets);
        reader_close(&reader);
        fixture_until(&place.f, stream_clients(place.stream) == 0);
    }
    end(&place);
}

static bool one_more_or_less(void *userdata, StreamReader *reader)
{
    reader->permissions ^= 2;
    return true;
}

static void whose_role_is_raised_while_the_buffer_is_full_reads_anew_when_there_is_room(void **state)
{
    Place place;
    Reader reader;
    char header[160];

    begin(&place);
    snprintf(header, sizeof(header), "May: 1\r\nLast-Event-ID: %s\r\n", cursor_of(&place, 1, ""));
    tell_all_that_is_kept(&place);
    fixture_until(&place.f, stream_number(place.stream) == STREAM_KEPT);
    reader_open(&place, &reader, header);
    fixture_run(&place.f, 100); /* it fills */
    stream_watch_readers(place.stream, one_more_or_less, NULL);
    for (unsigned i = 0; i < 101; i++) /* a single "reset" could still fit */
        stream_check(place.stream);
    assert_int_equal(stream_clients(place.stream), 1);
    fixture_until(&place.f, strstr(reader_text(&reader) + (reader.size > 3000 ? reader.size - 3000 : 0), "\"n\":9999"));
    size_t events = 0, resets = 0;
    for (const char *at = reader.text; (at = strchr(at, '\n')); at++) {
        events += strncmp(at, "\nevent: audit", 13) == 0;
        resets += strncmp(at, "\nevent: reset", 13) == 0;
    }
    assert_int_equal(events, STREAM_KEPT);
    assert_int_equal(resets, 1);
    snprintf(header, sizeof(header), "\nid: %s\n", cursor_of(&place, 3, ""));
    assert_non_null(strstr(reader.text + reader.size - 3000, header));
    reader_close(&reader);
    end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_one_turn_are_told_once_with_the_newest_value),
        cmocka_unit_test(who_comes_back_gets_exactly_what_was_missed),
        cmocka_unit_test(an_unknown_or_too_old_cursor_is_told_to_read_anew),
        cmocka_unit_test(a_long_absence_is_repeated_as_fast_as_it_is_read),
        cmocka_unit_test(who_does_not_read_is_closed_and_others_go_on),
        cmocka_unit_test(readers_that_leave_are_forgotten),
        cmocka_unit_test(readers_are_told_what_they_may_see_and_where_they_are),
        cmocka_unit_test(who_may_not_read_any_more_is_closed_and_who_may_see_more_reads_anew),
        cmocka_unit_test(a_cursor_counts_for_who_was_told_it_and_as_long_as_the_same_may_be_seen),
        cmocka_unit_test(whose_role_is_raised_while_the_buffer_is_full_reads_anew_when_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
