/* peer_redis.c - Redis as a queue: a stream with a consumer group, pipelined.
 *
 * What is acknowledged is trimmed away as well, else the stream, and its
 * rewriting, would grow with all that ever went through. This favours Redis: it
 * is right with one taker only, and cheaper than XDEL, which several would need. */
#include "bench.h"
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void launch(const char *program, const char *folder, unsigned port)
{
    char number[16];
    snprintf(number, sizeof(number), "%u", port);
    execl(program, program, "--port", number, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes",
          "--appendfsync", "always", "--save", "", "--daemonize", "no", (char *)NULL);
}

static void send_words(PeerConnection *connection, size_t count, const char *const *words)
{
    peer_sendf(connection, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        peer_sendf(connection, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
    }
}

static void open_queue(PeerConnection *connection, bool to_take)
{
    (void)to_take;
    send_words(connection, 6, (const char *const[]){"XGROUP", "CREATE", "bench", "takers", "0", "MKSTREAM"});
    peer_expect(connection, "+OK", "-BUSYGROUP");
}

static void put(PeerConnection *connection, const char *message, size_t size)
{
    peer_sendf(connection, "*5\r\n$4\r\nXADD\r\n$5\r\nbench\r\n$1\r\n*\r\n$1\r\nm\r\n$%zu\r\n", size);
    peer_send(connection, message, size);
    peer_send(connection, "\r\n", 2);
}

/* A reader of replies. At the end of the data, `end` is true and nothing read counts. */
typedef struct Reader {
    const PeerConnection *connection;
    const char *at, *stop;
    bool end;
} Reader;

/* The head of a reply: its type and number. */
static char read_head(Reader *reader, long long *ret_number)
{
    size_t length;
    const char *head = reader->at;
    if (reader->end || !peer_line(head, (size_t)(reader->stop - head), &length)) {
        reader->end = true;
        return 0;
    }
    if (length == 0 || !strchr("*$:", *head)) {
        peer_strange(reader->connection, head, length);
    }
    *ret_number = strtoll(head + 1, NULL, 10);
    reader->at += length + 2;
    return *head;
}

static const char *read_string(Reader *reader, size_t *ret_size)
{
    long long size;
    const char *head = reader->at;
    if (read_head(reader, &size) == 0) {
        return NULL;
    }
    if (*head != '$' || size < 0 || size > (long long)PEER_MESSAGE) {
        peer_strange(reader->connection, head, (size_t)(reader->stop - head));
    }
    const char *string = reader->at;
    if (reader->stop - string < size + 2) {
        reader->end = true;
        return NULL;
    }
    reader->at += size + 2;
    *ret_size = (size_t)size;
    return string;
}

static void confirm(PeerConnection *connection)
{
    for (;;) {
        const char *data;
        size_t size = peer_input(connection, &data), length;
        Reader reader = {.connection = connection, .at = data, .stop = data + size};
        read_string(&reader, &length);
        if (reader.end) {
            return;
        }
        connection->confirmed++;
        peer_consume(connection, (size_t)(reader.at - data));
    }
}

static long long read_array(Reader *reader, long long expected)
{
    long long number = 0;
    const char *head = reader->at;
    char type = read_head(reader, &number);
    if (type != 0 && (type != '*' || (expected > 0 && number != expected))) {
        peer_strange(reader->connection, head, (size_t)(reader->stop - head));
    }
    return number;
}

/* The messages of a reply to XREADGROUP: [[stream, [[id, [field, value]]...]]], or nothing. Called twice, first to see
 * if all is there. Of the ids, as words of a command, `start` is the last. */
static long long read_messages(Reader *reader, PeerConnection *taker, PeerBytes *ids)
{
    size_t size;
    if (read_array(reader, 0) < 0) {
        return 0;
    }
    read_array(reader, 2);
    read_string(reader, &size);
    long long count = read_array(reader, 0);
    for (long long i = 0; i < count && !reader->end; i++) {
        read_array(reader, 2);
        const char *id = read_string(reader, &size);
        if (ids && id) {
            ids->start = ids->end;
            ids->end += (size_t)snprintf(ids->bytes + ids->end, ids->capacity - ids->end, "$%zu\r\n%.*s\r\n", size,
                                         (int)size, id);
        }
        read_array(reader, 2);
        read_string(reader, &size);
        const char *value = read_string(reader, &size);
        if (taker && value) {
            peer_taken(taker, value, size);
        }
    }
    return count;
}

static void ask(PeerConnection *connection)
{
    char count[24];
    snprintf(count, sizeof(count), "%llu", (unsigned long long)connection->window);
    send_words(connection, 11,
               (const char *const[]){"XREADGROUP", "GROUP", "takers", "one", "COUNT", count, "BLOCK", "20", "STREAMS",
                                     "bench", ">"});
    connection->asked++;
}

/* A reply to a read; false: not all of it is there. */
static bool take_messages(PeerConnection *connection, const char *data, size_t size)
{
    Reader look = {.connection = connection, .at = data, .stop = data + size}, reader = look;
    long long count = read_messages(&look, NULL, NULL);
    if (look.end) {
        return false;
    }
    if (count > 0) {
        PeerBytes ids = {.capacity = (size_t)count * 64 + 1};
        if (!(ids.bytes = malloc(ids.capacity))) {
            bench_die("out of memory");
        }
        read_messages(&reader, connection, &ids);
        peer_sendf(connection, "*%lld\r\n$4\r\nXACK\r\n$5\r\nbench\r\n$6\r\ntakers\r\n", count + 3);
        peer_send(connection, ids.bytes, ids.end);
        peer_sendf(connection, "*4\r\n$5\r\nXTRIM\r\n$5\r\nbench\r\n$5\r\nMINID\r\n");
        peer_send(connection, ids.bytes + ids.start, ids.end - ids.start);
        free(ids.bytes);
    }
    peer_consume(connection, (size_t)(look.at - data));
    connection->asked--;
    return true;
}

/* A reply to XACK, then one to XTRIM. */
static bool take_number(PeerConnection *connection, const char *data, size_t size)
{
    long long number;
    Reader reader = {.connection = connection, .at = data, .stop = data + size};
    if (read_head(&reader, &number) == 0) {
        return false;
    }
    if (!connection->flag) {
        connection->acknowledged += (uint64_t)number;
    }
    connection->flag = !connection->flag;
    peer_consume(connection, (size_t)(reader.at - data));
    return true;
}

static void take(PeerConnection *connection)
{
    const char *data;
    size_t size;
    while ((size = peer_input(connection, &data)) > 0 &&
           (*data == ':' ? take_number(connection, data, size) : take_messages(connection, data, size))) {
    }
    if (connection->asked == 0) { /* two at once are slower: each is a turn with a sync of its own */
        ask(connection);
    }
}

static void finish(PeerConnection *connection)
{
    (void)connection; /* acknowledged at once */
}

const PeerKind peer_redis = {
    .name = "redis",
    .settings = "appendonly yes, appendfsync always; XADD, XREADGROUP, XACK and XTRIM",
    .launch = launch,
    .open = open_queue,
    .put = put,
    .confirm = confirm,
    .take = take,
    .finish = finish,
};
