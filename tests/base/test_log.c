/* The log: a record is a line, whatever is in it; nobody has to read it. */
#include "testing.h"

#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* stderr goes elsewhere while something is logged, and is back for cmocka before anything is asserted. */
static int own_stderr;
static int reader;
static char captured[1 << 20];

static void capture_into(int writer, int reading_end)
{
    own_stderr = dup(STDERR_FILENO);
    dup2(writer, STDERR_FILENO);
    close(writer);
    reader = reading_end;
    if (reader >= 0)
        fcntl(reader, F_SETFL, O_NONBLOCK);
}

static void capture(void)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    capture_into(ends[1], ends[0]);
}

/* What has come so far. */
static const char *drain(void)
{
    size_t size = 0;
    ssize_t n;

    while ((n = read(reader, captured + size, sizeof(captured) - 1 - size)) > 0)
        size += (size_t)n;
    captured[size] = '\0';
    return captured;
}

static const char *end_capture(void)
{
    if (reader >= 0) {
        drain();
        close(reader);
    }
    dup2(own_stderr, STDERR_FILENO);
    close(own_stderr);
    return captured;
}

/* Lets the log tell what it dropped in a test, so that the next one does not see it. */
static void settle(void)
{
    capture();
    log_record(INA_LOG_INFO, "settled", NULL);
    end_capture();
}

/* The line without its time, which it checks. */
static const char *after_time(const char *line)
{
    regex_t pattern;

    assert_int_equal(regcomp(&pattern,
                             "^time=[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9].[0-9]{3}Z ",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    int r = regexec(&pattern, line, 0, NULL, 0);
    regfree(&pattern);
    assert_int_equal(r, 0);
    return strchr(line, ' ') + 1;
}

static size_t lines_in(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void a_record_is_one_line_of_keys_and_values(void **state)
{
    capture();
    log_record(INA_LOG_INFO, "listening", "address", "127.1.1.2:8080", "note", "two words", NULL);
    assert_string_equal(after_time(end_capture()),
                        "level=info message=\"listening\" address=127.1.1.2:8080 note=\"two words\"\n");
}

static void values_are_quoted_where_needed(void **state)
{
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"", "\"\""},
        {"a b", "\"a b\""},
        {"a=b", "\"a=b\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"line\nlevel=error message=forged", "\"line\\nlevel=error message=forged\""},
        {"\r\t", "\"\\r\\t\""},
        {"\x1b[31mred\x07", "\"\\x1b[31mred\\x07\""},
        {"\x7f", "\"\\x7f\""},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xc2\x9b"
         "31m",
         "\"\\xc2\\x9b31m\""},                   /* C1: a terminal takes it for ESC [ */
        {"\xe2\x80\xa8", "\"\\xe2\\x80\\xa8\""}, /* line separator */
        {"\xe2\x80\xae"
         "abc",
         "\"\\xe2\\x80\\xaeabc\""}, /* right to left */
        {"\xff\xfe", "\"\\xff\\xfe\""},
        {"\xc3", "\"\\xc3\""},
        {"\xc0\xaf", "\"\\xc0\\xaf\""},          /* overlong */
        {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\""}, /* surrogate */
        {"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\""},
    };
    char expected[200];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        capture();
        log_record(INA_LOG_INFO, "m", "k", cases[i][0], NULL);
        snprintf(expected, sizeof(expected), "level=info message=\"m\" k=%s\n", cases[i][1]);
        assert_string_equal(after_time(end_capture()), expected);
    }
}

static void nothing_in_message_or_key_makes_a_second_line_or_field(void **state)
{
    capture();
    log_record(INA_LOG_ERROR, "two\nlines \"quoted\" \x1b[2J", "a key=x\n\"", "v", "", "w", NULL);
    assert_string_equal(after_time(end_capture()),
                        "level=error message=\"two\\nlines \\\"quoted\\\" \\x1b[2J\" a_key_x__=v _=w\n");
}

static void every_byte_keeps_a_line_a_line(void **state)
{
    char value[3] = {0};

    for (int first = 1; first < 256; first++) {
        for (int second = 1; second < 256; second += 7) {
            value[0] = (char)first;
            value[1] = (char)second;
            capture();
            log_record(INA_LOG_INFO, value, value, value, NULL);
            const char *line = end_capture();
            size_t length = strlen(line);
            assert_int_equal(lines_in(line), 1);
            for (size_t i = 0; i + 1 < length; i++)
                assert_false((unsigned char)line[i] < 0x20 || line[i] == 0x7f);
        }
    }
}

static void a_long_record_is_cut_and_says_so(void **state)
{
    static char value[100000];

    for (int offset = 0; offset < 4; offset++) {
        memset(value, 'x', (size_t)offset);
        for (size_t i = (size_t)offset; i + 4 < sizeof(value); i += 4)
            memcpy(value + i, "\xf0\x9f\x98\x80", 4);
        capture();
        log_record(INA_LOG_INFO, "m", "a", value, "b", "never", NULL);
        const char *line = end_capture();
        size_t length = strlen(line);
        assert_in_range(length, LOG_LINE_MAX - 32, LOG_LINE_MAX);
        assert_string_equal(line + length - 10, " cut=true\n");
        assert_null(strstr(line, "never"));
        assert_null(strstr(line, "\\x")); /* no character was halved */
    }
}

static void more_fields_than_the_limit_are_left_out(void **state)
{
#define TEN "k", "v", "k", "v", "k", "v", "k", "v", "k", "v", "k", "v", "k", "v", "k", "v", "k", "v", "k", "v"
    capture();
    log_record(INA_LOG_INFO, "m", TEN, TEN, TEN, TEN, TEN, NULL);
    const char *line = end_capture();
    size_t n = 0;
    for (const char *p = line; (p = strstr(p, " k=v")); p++)
        n++;
    assert_int_equal(n, LOG_FIELDS_MAX - 1);
}

static void a_missing_value_is_empty_and_ends_the_record(void **state)
{
    capture();
    log_record(INA_LOG_INFO, NULL, "k", NULL, NULL);
    assert_string_equal(after_time(end_capture()), "level=info message=\"\" k=\"\"\n");
}

static void what_is_less_urgent_than_the_level_is_not_written(void **state)
{
    capture();
    log_record(INA_LOG_DEBUG, "no", NULL);
    log_set_level(INA_LOG_WARNING);
    log_record(INA_LOG_INFO, "no", NULL);
    log_record(INA_LOG_WARNING, "yes", NULL);
    log_set_level(INA_LOG_DEBUG);
    log_record(INA_LOG_DEBUG, "yes", NULL);
    InaLogLevel level = log_level();
    log_set_level(INA_LOG_INFO);
    const char *text = end_capture();
    assert_int_equal(level, INA_LOG_DEBUG);
    assert_int_equal(lines_in(text), 2);
    assert_null(strstr(text, "no"));
}

static void levels_have_names(void **state)
{
    InaLogLevel level = INA_LOG_INFO;

    for (int i = INA_LOG_ERROR; i <= INA_LOG_DEBUG; i++) {
        assert_int_equal(ina_log_level_from_name(ina_log_level_name((InaLogLevel)i), &level), 0);
        assert_int_equal(level, i);
    }
    assert_int_equal(ina_log_level_from_name("loud", &level), -EINVAL);
    assert_int_equal(ina_log_level_from_name(NULL, &level), -EINVAL);
    assert_int_equal(level, INA_LOG_DEBUG);
    assert_string_equal(ina_log_level_name((InaLogLevel)42), "unknown");
}

static void see(void *userdata, InaLogLevel level, const char *line)
{
    snprintf(userdata, 200, "%d %s", level, after_time(line));
}

static void the_observer_sees_what_is_written(void **state)
{
    char seen[200] = "";

    log_set_observer(see, seen);
    capture();
    log_record(INA_LOG_DEBUG, "not this", NULL);
    log_record(INA_LOG_NOTICE, "this", "k", "v", NULL);
    end_capture();
    log_set_observer(NULL, NULL);
    assert_string_equal(seen, "5 level=notice message=\"this\" k=v");
}

static void errno_survives(void **state)
{
    capture();
    close(STDERR_FILENO);
    errno = ETIMEDOUT;
    log_record(INA_LOG_INFO, "nowhere", NULL);
    int number = errno;
    end_capture();
    settle();
    assert_int_equal(number, ETIMEDOUT);
}

/* --- whoever reads ---- */

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What is told to have been dropped, altogether. */
static uint64_t sum_of_records(const char *text)
{
    uint64_t sum = 0;

    while ((text = strstr(text, " records="))) {
        text += strlen(" records=");
        sum += strtoul(text, NULL, 10);
    }
    return sum;
}

/* Logs until nothing goes any more, then much more, then reads and logs again. */
static void check_stuck(bool exact)
{
    enum { RECORDS = 20000 };
    char number[16];
    uint64_t before = log_dropped();

    double start = seconds();
    for (int i = 0; i < RECORDS; i++) {
        snprintf(number, sizeof(number), "%d", i);
        log_record(INA_LOG_INFO, "flood", "n", number, NULL);
    }
    double took = seconds() - start;
    uint64_t dropped = log_dropped() - before;
    const char *text = drain();
    size_t written = lines_in(text);
    uint64_t told = sum_of_records(text);
    bool again = false;
    for (int i = 0; i < 600 && !again; i++) { /* a terminal takes it by and by */
        log_record(INA_LOG_INFO, "again", NULL);
        usleep(100000);
        told += sum_of_records(drain());
        again = strstr(captured, "message=\"again\"");
    }
    uint64_t dropped_later = log_dropped() - before - dropped;
    end_capture();

    assert_true(dropped > 0);
    assert_true(took < 30); /* each waiting for its own would be 1000 s */
    assert_true(again);
    if (exact) {
        assert_int_equal(written + dropped, RECORDS);
        assert_int_equal(told, dropped);
        assert_int_equal(dropped_later, 0);
    } else { /* a terminal may take a part of a line: that is a line, and dropped */
        assert_true(written + dropped >= RECORDS);
        assert_true(told >= dropped);
    }
}

static void a_pipe_that_nobody_reads_does_not_stop_us(void **state)
{
    capture();
    check_stuck(true);
}

static void a_socket_that_nobody_reads_does_not_stop_us(void **state)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    capture_into(ends[1], ends[0]);
    check_stuck(true);
}

static void a_terminal_that_is_stopped_does_not_stop_us(void **state)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);

    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    capture_into(terminal, master);
    check_stuck(false);
}

static void *log_many(void *userdata)
{
    for (int i = 0; i < 500; i++)
        log_record(INA_LOG_INFO, "from a thread", "padding", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                   NULL);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    pthread_t threads[4];
    char path[] = "/tmp/inaetics-log-XXXXXX";
    int fd = mkostemp(path, O_APPEND);

    capture_into(fd, -1);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, log_many, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    end_capture();
    FILE *file = fopen(path, "r");
    char line[LOG_LINE_MAX];
    int n = 0;
    while (fgets(line, sizeof(line), file)) {
        n++;
        assert_memory_equal(line, "time=", 5);
        assert_contains(line, "xxxx\n");
    }
    fclose(file);
    unlink(path);
    assert_int_equal(n, 2000);
}

static void a_reader_that_left_is_no_reason_to_die(void **state)
{
    int ends[2];

    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    capture_into(ends[1], -1);
    close(ends[0]);
    uint64_t before = log_dropped();
    log_record(INA_LOG_INFO, "m", NULL);
    uint64_t dropped = log_dropped() - before;
    end_capture();
    settle();
    assert_int_equal(dropped, 1);
}

/* --- the journal ---- */

static int listen_as_journal(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    log_set_journal(path);
    return fd;
}

static void say_that_stderr_is_the_journal(int fd_of_stderr)
{
    struct stat status;
    char stream[64];

    assert_int_equal(fstat(fd_of_stderr, &status), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
}

static void the_journal_gets_fields(void **state)
{
    static const char expected[] = "PRIORITY=4\nSYSLOG_IDENTIFIER=test_log\nMESSAGE=careful\nADDRESS=1.2.3.4\n"
                                   "TWO_LINES\n\x03\0\0\0\0\0\0\0a\nb\nFIELD_PRIORITY=0\nFIELD__TRUSTED=x\n"
                                   "FIELD_SYSLOG_FACILITY=y\nFIELD_=z\n";
    char datagram[4096];
    int journal = listen_as_journal(below(state, "journal"));

    capture();
    say_that_stderr_is_the_journal(STDERR_FILENO);
    log_record(INA_LOG_WARNING, "careful", "address", "1.2.3.4", "two-lines", "a\nb", "priority", "0", "_trusted", "x",
               "syslog-facility", "y", "", "z", NULL);
    unsetenv("JOURNAL_STREAM");
    assert_string_equal(end_capture(), "");
    ssize_t n = recv(journal, datagram, sizeof(datagram), 0);
    assert_int_equal(n, sizeof(expected) - 1);
    assert_memory_equal(datagram, expected, sizeof(expected) - 1);
    close(journal);
}

static void a_stream_that_is_not_stderr_is_not_believed(void **state)
{
    static const char *const streams[] = {"1:2", "", "x", "1", "1:2:3", "-1:-1", "99999999999999999999999:1"};
    char datagram[4096];
    int journal = listen_as_journal(below(state, "journal"));

    for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
        setenv("JOURNAL_STREAM", streams[i], 1);
        capture();
        log_record(INA_LOG_INFO, "m", NULL);
        unsetenv("JOURNAL_STREAM");
        assert_contains(end_capture(), "message=\"m\"");
    }
    assert_int_equal(recv(journal, datagram, sizeof(datagram), 0), -1);
    close(journal);
}

static void without_a_journal_stderr_gets_the_line(void **state)
{
    log_set_journal(below(state, "nobody"));
    capture();
    say_that_stderr_is_the_journal(STDERR_FILENO);
    log_record(INA_LOG_INFO, "m", NULL);
    unsetenv("JOURNAL_STREAM");
    assert_contains(end_capture(), "message=\"m\"");
}

static void a_journal_that_is_stuck_does_not_stop_us(void **state)
{
    enum { RECORDS = 3000 };
    char datagram[8192];
    int journal = listen_as_journal(below(state, "journal"));
    uint64_t before = log_dropped();
    unsigned received = 0;
    bool told = false;

    capture();
    say_that_stderr_is_the_journal(STDERR_FILENO);
    for (int i = 0; i < RECORDS; i++)
        log_record(INA_LOG_INFO, "flood", NULL);
    uint64_t dropped = log_dropped() - before;
    while (recv(journal, datagram, sizeof(datagram), 0) > 0)
        received++;
    log_record(INA_LOG_INFO, "again", NULL);
    unsetenv("JOURNAL_STREAM");
    assert_string_equal(end_capture(), "");
    assert_true(dropped > 0);
    assert_int_equal(received + dropped, RECORDS);
    ssize_t n = recv(journal, datagram, sizeof(datagram) - 1, 0);
    assert_true(n > 0);
    datagram[n] = '\0';
    char number[32];
    snprintf(number, sizeof(number), "\nRECORDS=%u\n", (unsigned)dropped);
    told = strstr(datagram, number) != NULL;
    assert_true(told);
    close(journal);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_line_of_keys_and_values),
        cmocka_unit_test(values_are_quoted_where_needed),
        cmocka_unit_test(nothing_in_message_or_key_makes_a_second_line_or_field),
        cmocka_unit_test(every_byte_keeps_a_line_a_line),
        cmocka_unit_test(a_long_record_is_cut_and_says_so),
        cmocka_unit_test(more_fields_than_the_limit_are_left_out),
        cmocka_unit_test(a_missing_value_is_empty_and_ends_the_record),
        cmocka_unit_test(what_is_less_urgent_than_the_level_is_not_written),
        cmocka_unit_test(levels_have_names),
        cmocka_unit_test(the_observer_sees_what_is_written),
        cmocka_unit_test(errno_survives),
        cmocka_unit_test(a_pipe_that_nobody_reads_does_not_stop_us),
        cmocka_unit_test(a_socket_that_nobody_reads_does_not_stop_us),
        cmocka_unit_test(a_terminal_that_is_stopped_does_not_stop_us),
        cmocka_unit_test(lines_of_threads_do_not_mix),
        cmocka_unit_test(a_reader_that_left_is_no_reason_to_die),
        IN_FOLDER(the_journal_gets_fields),
        IN_FOLDER(a_stream_that_is_not_stderr_is_not_believed),
        IN_FOLDER(without_a_journal_stderr_gets_the_line),
        IN_FOLDER(a_journal_that_is_stuck_does_not_stop_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
