/* The shell: its commands, and its sessions over TCP and a pipe. */
#include "base/log.h"
#include "framework/shell.h"
#include "tests/framework/bundle_fixture.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAME "test.counter"
#define TOKEN "0123456789abcdef0123456789abcdef"

typedef struct Fixture {
    BundleFixture *base;
    Shell *shell;
    Buffer output; /* of the last command */
    InaError error;
} Fixture;

static int set_up(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);

    fixture_set_up((void **)&fixture->base);
    assert_int_equal(shell_new(fixture->base->framework, &fixture->shell, NULL), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *fixture = *state;

    shell_free(fixture->shell);
    buffer_free(&fixture->output);
    fixture_tear_down((void **)&fixture->base);
    free(fixture);
    log_set_level(INA_LOG_INFO);
    return 0;
}

/* Runs a line; its output is text until the next one. */
__attribute__((format(printf, 2, 3))) static int run(Fixture *fixture, const char *format, ...)
{
    char line[8192];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    buffer_clear(&fixture->output);
    fixture->error = (InaError){0};
    int r = shell_run(fixture->shell, line, &fixture->output, &fixture->error);
    buffer_append(&fixture->output, "", 1);
    fixture->output.size--;
    return r;
}

static void says(Fixture *fixture, const char *line, const char *text)
{
    if (run(fixture, "%s", line) < 0)
        fail_msg("%s: %s", line, fixture->error.message);
    assert_contains(fixture->output.data, text);
}

static void refuses(Fixture *fixture, const char *line, const char *text)
{
    if (run(fixture, "%s", line) == 0)
        fail_msg("%s: was done", line);
    assert_contains(fixture->error.message, text);
}

/* --- commands ----------------------------------------------------------------- */

static void help_lists_all_commands_and_those_of_bundles(void **state)
{
    static const char *const names[] = {"help",  "lb",   "bundle", "services",  "components", "log", "install",
                                        "start", "stop", "update", "uninstall", "config",     "exit"};
    Fixture *fixture = *state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        says(fixture, "help", names[i]);
    fixture_start(fixture->base, "counter_sound", NAME, "1");
    says(fixture, "help", "tells the count");
    says(fixture, "help total", "tells the count");
    says(fixture, "help update", "update BUNDLE FILE");
    refuses(fixture, "help dance", "there is no command 'dance'");
}

static void a_bundle_is_led_through_its_life(void **state)
{
    Fixture *fixture = *state;
    char *one = fixture_pack(fixture->base, "counter_sound", NAME, "1", NULL);
    char *two = fixture_pack(fixture->base, "counter_sound", NAME, "2", NULL);

    assert_int_equal(run(fixture, "install \"%s\"", one), 0);
    assert_contains(fixture->output.data, "test.counter 1.0.0 is number 1");
    says(fixture, "lb", "   1  installed  1.0.0        test.counter");
    says(fixture, "start 1", "active");
    says(fixture, "lb", "   1  active     1.0.0        test.counter");
    says(fixture, "components", "active         counter");
    says(fixture, "services", "counter.v1.Counter");
    says(fixture, "services counter.v1.Counter", "weight = 7");
    says(fixture, "bundle 1", "requires inaetics.framework (&(version>=0.1)(!(version>=1.0))): the framework");
    says(fixture, "total", "total 0");
    assert_int_equal(run(fixture, "update test.counter %s", two), 0);
    assert_contains(fixture->output.data, "test.counter: from 1.0.0 to 2.0.0");
    says(fixture, "stop 1", "");
    says(fixture, "lb", "   1  resolved   2.0.0        test.counter");
    refuses(fixture, "total", "there is no command 'total'");
    says(fixture, "uninstall test.counter", "");
    assert_int_equal(framework_bundles(fixture->base->framework, NULL, 0), 0);
    free(one);
    free(two);
}

static void mistakes_are_answered_with_what_would_be_right(void **state)
{
    Fixture *fixture = *state;

    refuses(fixture, "dance", "there is no command 'dance'; 'help' lists");
    refuses(fixture, "lb x", "right would be: lb");
    refuses(fixture, "bundle", "right would be: bundle BUNDLE");
    refuses(fixture, "bundle 7", "there is no bundle '7'; 'lb' lists");
    refuses(fixture, "start nobody", "there is no bundle 'nobody'");
    refuses(fixture, "start -1", "there is no bundle '-1'");
    refuses(fixture, "start 99999999999999999999", "there is no bundle");
    refuses(fixture, "install /nonexistent.zip", "/nonexistent.zip");
    refuses(fixture, "update 1", "right would be: update BUNDLE FILE");
    refuses(fixture, "log 0", "1 to 1000");
    refuses(fixture, "log 1001", "1 to 1000");
    refuses(fixture, "log quiet", "a level (error, warning, notice, info, debug");
    refuses(fixture, "log default", "log default BUNDLE");
    refuses(fixture, "config counter", "there is no component 'counter'");
    refuses(fixture, "help \"open", "a quoted word does not end");
    assert_int_equal(run(fixture, "   "), 0);
    assert_int_equal(run(fixture, "%5000s", "x"), -E2BIG);
    assert_int_equal(run(fixture, "a b c d e f g h i j k l m n o p q r s t u v w x y z 1 2 3 4 5 6 7"), -E2BIG);
}

static void components_say_why_they_are_not_active(void **state)
{
    Fixture *fixture = *state;

    fixture_start(fixture->base, "user", "test.user", "1");
    says(fixture, "components", "waiting        user");
    says(fixture, "components", "counter.v1.Counter");
    says(fixture, "bundle test.user", "(&(contract=counter.v1.Counter)(type=test)): looked for at run time");
    says(fixture, "bundle test.user", "waiting        user");
}

static void an_unresolved_bundle_says_what_it_misses(void **state)
{
    Fixture *fixture = *state;
    char *zip = fixture_pack(fixture->base, "user", "needy", "1", "acme.sensor;filter:=\"(range>=3)\"");

    assert_int_equal(run(fixture, "install %s", zip), 0);
    refuses(fixture, "start needy", "it misses: acme.sensor (range>=3)");
    says(fixture, "bundle needy", "requires acme.sensor (range>=3): missing");
    says(fixture, "bundle needy", "misses: acme.sensor (range>=3)");
    says(fixture, "bundle needy", "last problem: bundle needy 1.0.0 cannot be resolved");
    free(zip);
}

static void levels_are_set_for_all_or_for_one_bundle(void **state)
{
    Fixture *fixture = *state;

    says(fixture, "log warning", "");
    fixture_start(fixture->base, "counter_sound", NAME, "1");
    assert_int_equal(run(fixture, "log 100"), 0);
    assert_null(strstr(fixture->output.data, "counting from")); /* info */
    says(fixture, "stop 1", "");
    says(fixture, "log debug 1", "");
    says(fixture, "start 1", "");
    says(fixture, "log 100", "counting from 0");
    assert_contains(fixture->output.data, "bundle=test.counter component=counter");
    says(fixture, "log default 1", "");
    says(fixture, "stop 1", "");
    says(fixture, "start 1", "");
    says(fixture, "log 2", "counting from 0"); /* still, before that it was started */
    refuses(fixture, "log debug 9", "there is no bundle '9'");
}

static void the_last_records_are_shown_oldest_first(void **state)
{
    Fixture *fixture = *state;
    char message[32];

    for (int i = 0; i < 1100; i++) {
        (void)snprintf(message, sizeof message, "record %d", i);
        log_record(INA_LOG_ERROR, message, NULL);
    }
    says(fixture, "log 2", "record 1098");
    assert_true(strstr(fixture->output.data, "record 1098") < strstr(fixture->output.data, "record 1099"));
    assert_null(strstr(fixture->output.data, "record 1097"));
    says(fixture, "log 1000", "record 100\"");
    assert_null(strstr(fixture->output.data, "record 99\""));
}

static void configuration_is_shown_and_changed(void **state)
{
    Fixture *fixture = *state;

    fixture_start(fixture->base, "counter_sound", NAME, "1");
    says(fixture, "config", "counter\n");
    says(fixture, "config counter", "step = 1  (default; integer from 1 to 100)\n    what one counts for\n");
    says(fixture, "config counter loud", "loud = false");
    assert_null(strstr(fixture->output.data, "step"));
    says(fixture, "config counter step 5", "step = 5  (changed at run time;");
    assert_int_equal(fixture_count(fixture->base, 1), 5);
    says(fixture, "config counter step --default", "step = 1  (default;");
    says(fixture, "config counter label \"two words\"", "label = two words");
    refuses(fixture, "config counter step 500", "from 1 to 100");
    refuses(fixture, "config counter stepp", "has no key 'stepp'");
    refuses(fixture, "config counter stepp 1", "stepp");
    says(fixture, "config other key value", "kept; there is no component other now");
}

static void commands_of_bundles_are_run_and_their_errors_told(void **state)
{
    Fixture *fixture = *state;

    fixture_start(fixture->base, "counter_sound", NAME, "1");
    assert_int_equal(fixture_count(fixture->base, 3), 3);
    says(fixture, "total", "total 3\n");
    refuses(fixture, "total x", "total takes no words");
}

/* --- sessions ------------------------------------------------------------------- */

static void listen_on_loopback(Fixture *fixture)
{
    InaError error = {0};

    if (shell_listen(fixture->shell, "127.0.0.1:0", TOKEN, &error) < 0)
        fail_msg("%s", error.message);
}

static int dial(Fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *port = strrchr(shell_address(fixture->shell), ':') + 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Runs the loop until this many answers, or the end, have come; closed tells of the end. */
static char *listen_for(Fixture *fixture, int fd, unsigned answers, bool *ret_closed)
{
    static char text[3 * SHELL_OUTPUT_MAX];
    size_t size = 0;
    uint64_t end = ina_now() + 30 * INA_SECOND;

    *ret_closed = false;
    text[0] = '\0';
    while (ina_now() < end) {
        unsigned count = 0;
        assert_true(sd_event_run(fixture->base->event, 1000) >= 0);
        ssize_t n = recv(fd, text + size, sizeof text - size - 1, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            *ret_closed = true;
            break;
        }
        size += n > 0 ? (size_t)n : 0;
        text[size] = '\0';
        for (const char *p = text; (p = strstr(p, "\n.\n")); p += 2)
            count++;
        if (answers > 0 && count >= answers)
            break;
    }
    return text;
}

static void a_session_begins_with_the_token_and_answers_in_frames(void **state)
{
    Fixture *fixture = *state;
    bool closed;

    fixture_start(fixture->base, "counter_sound", NAME, "1");
    listen_on_loopback(fixture);
    int fd = dial(fixture);
    say(fd, TOKEN "\n");
    assert_string_equal(listen_for(fixture, fd, 1, &closed), "+OK\n.\n");
    say(fd, "lb\r\ndance\ntotal\n");
    const char *text = listen_for(fixture, fd, 3, &closed);
    assert_contains(text, "+OK\n No.  State");
    assert_contains(text, "-ERR there is no command 'dance'; 'help' lists those there are\n.\n");
    assert_contains(text, "+OK\ntotal 0\n..hidden\n.\n");
    say(fd, "exit\n");
    assert_string_equal(listen_for(fixture, fd, 0, &closed), "+OK\n.\n");
    assert_true(closed);
    assert_int_equal(shell_sessions(fixture->shell), 0);
    close(fd);
}

static void without_the_right_token_nothing_is_done(void **state)
{
    static const char *const wrong[] = {"lb\n",
                                        "\n",
                                        "0123456789abcdef0123456789abcdeF\nlb\n",
                                        "0123456789abcdef\nlb\n",
                                        TOKEN " \nlb\n",
                                        TOKEN TOKEN "\nlb\n"};
    Fixture *fixture = *state;
    bool closed;

    listen_on_loopback(fixture);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int fd = dial(fixture);
        say(fd, wrong[i]);
        assert_string_equal(listen_for(fixture, fd, 0, &closed), "-ERR the first line must be the token\n.\n");
        assert_true(closed);
        close(fd);
    }
}

static void commands_behind_the_token_are_answered_even_when_the_client_stops_sending(void **state)
{
    Fixture *fixture = *state;
    bool closed;

    listen_on_loopback(fixture);
    int fd = dial(fixture);
    say(fd, TOKEN "\nlb\ncomponents"); /* the last one without its end */
    shutdown(fd, SHUT_WR);
    const char *text = listen_for(fixture, fd, 0, &closed);
    assert_true(closed);
    assert_contains(text, "No.  State      Version");
    assert_contains(text, "No.  State          Component");
    close(fd);
}

static void a_line_that_is_too_long_or_binary_ends_the_session(void **state)
{
    Fixture *fixture = *state;
    char line[SHELL_LINE_MAX + 2];
    bool closed;

    listen_on_loopback(fixture);
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    int fd = dial(fixture);
    say(fd, TOKEN "\n");
    say(fd, line);
    assert_contains(listen_for(fixture, fd, 0, &closed), "-ERR a line has at most 4096 bytes\n");
    assert_true(closed);
    close(fd);
    fd = dial(fixture);
    say(fd, line); /* instead of the token */
    assert_contains(listen_for(fixture, fd, 0, &closed), "-ERR a line has at most 4096 bytes\n");
    close(fd);
    fd = dial(fixture);
    say(fd, TOKEN "\n");
    assert_int_equal(send(fd, "l\0b\n", 4, MSG_NOSIGNAL), 4);
    assert_contains(listen_for(fixture, fd, 0, &closed), "-ERR a line is text\n");
    assert_true(closed);
    close(fd);
}

static void sessions_are_limited_and_free_again_when_closed(void **state)
{
    Fixture *fixture = *state;
    int fds[SHELL_SESSIONS_MAX];
    bool closed;

    listen_on_loopback(fixture);
    for (size_t i = 0; i < SHELL_SESSIONS_MAX; i++) {
        fds[i] = dial(fixture);
        say(fds[i], TOKEN "\n");
        assert_string_equal(listen_for(fixture, fds[i], 1, &closed), "+OK\n.\n");
    }
    int fd = dial(fixture);
    assert_string_equal(listen_for(fixture, fd, 0, &closed), "-ERR too many sessions\n.\n");
    assert_true(closed);
    close(fd);
    close(fds[0]); /* vanishes without a word */
    for (int i = 0; shell_sessions(fixture->shell) == SHELL_SESSIONS_MAX && i < 10000; i++)
        sd_event_run(fixture->base->event, 1000);
    fd = dial(fixture);
    say(fd, TOKEN "\n");
    assert_string_equal(listen_for(fixture, fd, 1, &closed), "+OK\n.\n");
    close(fd);
    for (size_t i = 1; i < SHELL_SESSIONS_MAX; i++)
        close(fds[i]);
}

static void who_does_not_read_the_answers_holds_up_nobody(void **state)
{
    Fixture *fixture = *state;
    static char lines[60000];
    bool closed;

    listen_on_loopback(fixture);
    for (char *end = lines; end + 6 < lines + sizeof lines;)
        end = stpcpy(end, "help\n");
    int deaf = dial(fixture), fd = dial(fixture);
    say(deaf, TOKEN "\n");
    for (int i = 0; i < 200; i++) { /* until nobody takes any more of it */
        ssize_t n = send(deaf, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT);
        assert_true(n > 0 || errno == EAGAIN);
        fixture_run(fixture->base);
    }
    say(fd, TOKEN "\nlb\n");
    assert_contains(listen_for(fixture, fd, 2, &closed), "No.  State");
    close(fd);
    close(deaf);
}

static void it_listens_only_where_it_is_safe(void **state)
{
    static const struct {
        const char *address, *token, *why;
    } cases[] = {
        {"0.0.0.0:0", TOKEN, "does not listen on all addresses"},
        {"[::]:0", TOKEN, "does not listen on all addresses"},
        {"127.0.0.1", TOKEN, "is not an address"},
        {"127.0.0.1:x", TOKEN, "is not an address"},
        {"127.0.0.1:70000", TOKEN, "is not an address"},
        {"localhost:0", TOKEN, "is not an address"},
        {"127.0.0.1:0", NULL, "needs a token of at least 16 bytes"},
        {"127.0.0.1:0", "", "needs a token of at least 16 bytes"},
        {"127.0.0.1:0", "short", "needs a token of at least 16 bytes"},
        {"192.0.2.1:0", TOKEN, "cannot listen on 192.0.2.1:0"},
    };
    Fixture *fixture = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        InaError error = {0};
        assert_true(shell_listen(fixture->shell, cases[i].address, cases[i].token, &error) < 0);
        assert_contains(error.message, cases[i].why);
        assert_null(shell_address(fixture->shell));
    }
    listen_on_loopback(fixture);
    assert_true(shell_listen(fixture->shell, "127.0.0.1:0", TOKEN, NULL) < 0);
}

static void whoever_is_at_the_pipe_needs_no_token_and_sees_plain_text(void **state)
{
    Fixture *fixture = *state;
    int in[2], out[2];
    char text[8192];

    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    assert_int_equal(shell_attach(fixture->shell, in[0], out[1], NULL), 0);
    assert_int_equal(write(in[1], "lb\ndance\nlb", 11), 11);
    close(in[1]);
    for (int i = 0; shell_sessions(fixture->shell) > 0 && i < 10000; i++)
        sd_event_run(fixture->base->event, 1000);
    assert_int_equal(shell_sessions(fixture->shell), 0);
    close(out[1]);
    ssize_t n = read(out[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_true(strncmp(text, " No.  State", 11) == 0);
    const char *error = strstr(text, "error: there is no command 'dance'; 'help' lists those there are\n");
    assert_non_null(error);
    assert_contains(error, " No.  State");
    close(in[0]);
    close(out[0]);
}

static void a_file_of_commands_is_run_to_its_end(void **state)
{
    Fixture *fixture = *state;
    char *path;
    char text[1024];

    assert_true(asprintf(&path, "%s/commands", fixture->base->folder) > 0);
    FILE *file = fopen(path, "w+");
    fputs("config a b c\nlb\n", file);
    fflush(file);
    int in = open(path, O_RDONLY | O_CLOEXEC), pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(shell_attach(fixture->shell, in, pipes[1], NULL), 0);
    for (int i = 0; shell_sessions(fixture->shell) > 0 && i < 1000; i++)
        sd_event_run(fixture->base->event, 1000);
    assert_int_equal(shell_sessions(fixture->shell), 0);
    ssize_t n = read(pipes[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_contains(text, "kept;");
    assert_contains(text, "No.  State");
    close(in);
    close(pipes[0]);
    close(pipes[1]);
    fclose(file);
    free(path);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(help_lists_all_commands_and_those_of_bundles),
        TEST(a_bundle_is_led_through_its_life),
        TEST(mistakes_are_answered_with_what_would_be_right),
        TEST(components_say_why_they_are_not_active),
        TEST(an_unresolved_bundle_says_what_it_misses),
        TEST(levels_are_set_for_all_or_for_one_bundle),
        TEST(the_last_records_are_shown_oldest_first),
        TEST(configuration_is_shown_and_changed),
        TEST(commands_of_bundles_are_run_and_their_errors_told),
        TEST(a_session_begins_with_the_token_and_answers_in_frames),
        TEST(without_the_right_token_nothing_is_done),
        TEST(commands_behind_the_token_are_answered_even_when_the_client_stops_sending),
        TEST(a_line_that_is_too_long_or_binary_ends_the_session),
        TEST(sessions_are_limited_and_free_again_when_closed),
        TEST(who_does_not_read_the_answers_holds_up_nobody),
        TEST(it_listens_only_where_it_is_safe),
        TEST(whoever_is_at_the_pipe_needs_no_token_and_sees_plain_text),
        TEST(a_file_of_commands_is_run_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
