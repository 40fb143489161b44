/* Files over HTTP: types, tags, and no way out of the folder. */
#include "base/files.h"
#include "http_fixture.h"
#include "tests/leftovers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Site {
    Fixture f;
    char folder[64], root[80];
} Site;

static void put(const char *folder, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void link_to(const char *folder, const char *name, const char *target)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(symlink(target, path), 0);
}

static void serve_secret(void *userdata, InaHttpRequest *request)
{
    ina_http_respond_file(request, userdata);
}

/* Any path after /any is opened below the root, whatever it is. */
static void serve_any(void *userdata, InaHttpRequest *request)
{
    Site *site = userdata;
    const char *path = ina_http_query(request, "path");

    ina_http_respond_below(request, site->root, path ? path : "");
}

static void start(Site *site)
{
    InaError error = {0};

    memset(site, 0, sizeof(*site));
    fixture_start(&site->f, NULL);
    strcpy(site->folder, "/tmp/test-http-XXXXXX");
    assert_non_null(make_test_folder(site->folder));
    snprintf(site->root, sizeof(site->root), "%s/root", site->folder);
    assert_int_equal(mkdir(site->root, 0755), 0);
    put(site->folder, "secret.txt", "treasure");
    put(site->root, "index.html", "<h1>start</h1>");
    put(site->root, "style.css", "body {}");
    put(site->root, "empty.js", "");
    put(site->root, "..odd", "odd");
    char inner[100];
    snprintf(inner, sizeof(inner), "%s/inner", site->root);
    assert_int_equal(mkdir(inner, 0755), 0);
    put(inner, "page.HTML", "page");
    link_to(site->root, "out", "../secret.txt");
    link_to(site->root, "absolute", "/etc/passwd");
    link_to(site->root, "up", "..");
    snprintf(inner, sizeof(inner), "%s/pipe", site->root);
    assert_int_equal(mkfifo(inner, 0644), 0);
    assert_int_equal(http_server_files(site->f.server, "/", site->root, &error), 0);
    assert_int_equal(http_server_files(site->f.server, "/ui/", site->root, &error), 0);
    assert_int_equal(http_server_handle(site->f.server, "/any", serve_any, site, &error), 0);
}

static void stop(Site *site)
{
    InaError error;

    fixture_stop(&site->f);
    assert_int_equal(folder_remove(site->folder, &error), 0);
}

static void expect(Site *site, const char *path, int status, const char *type, const char *body)
{
    Answer answer;

    fetch(&site->f, &(InaHttpFetchOptions){.url = url_of(&site->f, path)}, &answer);
    if (answer.status != status)
        fail_msg("%s: status %d instead of %d", path, answer.status, status);
    if (type)
        assert_string_equal(answer.content_type, type);
    if (body)
        assert_string_equal(answer.body, body);
    else if (strstr(answer.body, "treasure") || strstr(answer.body, "root:"))
        fail_msg("%s: %s", path, answer.body);
    answer_free(&answer);
}

static void files_are_served_with_their_type(void **state)
{
    Site site;

    start(&site);
    expect(&site, "/", 200, "text/html; charset=utf-8", "<h1>start</h1>");
    expect(&site, "/index.html", 200, "text/html; charset=utf-8", "<h1>start</h1>");
    expect(&site, "/style.css", 200, "text/css; charset=utf-8", "body {}");
    expect(&site, "/empty.js", 200, "text/javascript; charset=utf-8", "");
    expect(&site, "/inner/page.HTML", 200, "text/html; charset=utf-8", "page");
    expect(&site, "/ui", 200, NULL, "<h1>start</h1>");
    expect(&site, "/ui/", 200, NULL, "<h1>start</h1>");
    expect(&site, "/ui/style.css", 200, NULL, "body {}");
    expect(&site, "/..odd", 200, "application/octet-stream", "odd");
    expect(&site, "/style.css?version=2", 200, NULL, "body {}");
    stop(&site);
}

static void what_is_not_a_file_below_the_root_is_not_found(void **state)
{
    static const char *const paths[] = {"/nothing",
                                        "/inner",
                                        "/inner/",
                                        "/style.css/",
                                        "/style.css/x",
                                        "/out",
                                        "/absolute",
                                        "/up/secret.txt",
                                        "/up",
                                        "/pipe",
                                        "/ui/absolute",
                                        "/any?path=../secret.txt",
                                        "/any?path=/../secret.txt",
                                        "/any?path=inner/../../secret.txt",
                                        "/any?path=..",
                                        "/any?path=.",
                                        "/any?path=./index.html",
                                        "/any?path=//etc/passwd",
                                        "/any?path=/etc/passwd",
                                        "/any?path=inner/.."};
    static const char *const refused[] = {"/../secret.txt",     "/%2e%2e/secret.txt",
                                          "/..%2fsecret.txt",   "/inner/%2e%2E/%2e./secret.txt",
                                          "/index.html%00.css", "/./index.html"};
    Site site;
    char name[400] = "/";

    start(&site);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        expect(&site, paths[i], 404, NULL, NULL);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        expect(&site, refused[i], 400, NULL, NULL);
    memset(name + 1, 'a', 300);
    expect(&site, name, 404, NULL, NULL);
    stop(&site);
}

static void a_known_tag_is_answered_with_304(void **state)
{
    Site site;
    char request[512], tag[100], *text;

    start(&site);
    int fd = bare_connect(site.f.address);
    bare_send(fd, "GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(bare_answer(&site.f, fd, &text), 200);
    const char *found = strstr(text, "ETag: ");
    assert_non_null(found);
    snprintf(tag, sizeof(tag), "%.*s", (int)strcspn(found + 6, "\r"), found + 6);
    free(text);
    const char *const known[] = {"%s", "W/%s", "\"other\", %s", "*", "\"x\",W/%s ,\"y\""};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        char header[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(header, sizeof(header), known[i], tag);
#pragma GCC diagnostic pop
        snprintf(request, sizeof(request), "GET /style.css HTTP/1.1\r\nHost: x\r\nIf-None-Match: %s\r\n\r\n", header);
        bare_send(fd, request);
        assert_int_equal(bare_answer(&site.f, fd, &text), 304);
        assert_non_null(strstr(text, tag));
        free(text);
    }
    put(site.root, "style.css", "body {color: red}");
    snprintf(request, sizeof(request), "GET /style.css HTTP/1.1\r\nHost: x\r\nIf-None-Match: %s\r\n\r\n", tag);
    bare_send(fd, request);
    assert_int_equal(bare_answer(&site.f, fd, &text), 200);
    assert_non_null(strstr(text, "color: red"));
    free(text);
    close(fd);
    stop(&site);
}

static void files_are_only_read(void **state)
{
    Site site;

    start(&site);
    assert_int_equal(bare_exchange(&site.f, "PUT /style.css HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"), 405);
    assert_int_equal(bare_exchange(&site.f, "DELETE /style.css HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
    expect(&site, "/style.css", 200, NULL, "body {}");
    stop(&site);
}

static void a_trusted_path_may_be_a_link_but_not_climb(void **state)
{
    Site site;
    char path[128], climbing[128];

    start(&site);
    snprintf(path, sizeof(path), "%s/out", site.root);
    snprintf(climbing, sizeof(climbing), "%s/../secret.txt", site.root);
    http_server_handle(site.f.server, "/link", serve_secret, path, NULL);
    http_server_handle(site.f.server, "/climb", serve_secret, climbing, NULL);
    expect(&site, "/link", 200, NULL, "treasure");
    expect(&site, "/climb", 404, NULL, NULL);
    stop(&site);
}

static void a_large_file_is_sent_whole(void **state)
{
    Site site;
    Answer answer;
    size_t size = 10000000;
    char *text = malloc(size + 1);

    start(&site);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + i % 23);
    text[size] = '\0';
    put(site.root, "large", text);
    fetch(&site.f, &(InaHttpFetchOptions){.url = url_of(&site.f, "/large")}, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.size, size);
    assert_memory_equal(answer.body, text, size);
    answer_free(&answer);
    free(text);
    stop(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_served_with_their_type),
        cmocka_unit_test(what_is_not_a_file_below_the_root_is_not_found),
        cmocka_unit_test(a_known_tag_is_answered_with_304),
        cmocka_unit_test(files_are_only_read),
        cmocka_unit_test(a_trusted_path_may_be_a_link_but_not_climb),
        cmocka_unit_test(a_large_file_is_sent_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
