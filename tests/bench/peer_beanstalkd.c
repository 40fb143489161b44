/* peer_beanstalkd.c - beanstalkd's protocol, pipelined.
 *
 * It does nothing for a connection whose reserve waits, so only the first of
 * each round may wait; a round of reserves is as long as the last one was
 * successful, and deletes go along with the next round. */
#include "bench.h"
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUND_MAXIMUM 64u

static void launch(const char *program, const char *folder, unsigned port)
{
    char number[16];
    snprintf(number, sizeof(number), "%u", port);
    execl(program, program, "-l", "127.0.0.1", "-p", number, "-b", folder, "-f", "0", (char *)NULL);
}

static void open_queue(PeerConnection *connection, bool to_take)
{
    peer_sendf(connection, to_take ? "watch bench\r\n" : "use bench\r\n");
    peer_expect(connection, "WATCHING", "USING bench");
}

static void put(PeerConnection *connection, const char *message, size_t size)
{
    peer_sendf(connection, "put 0 0 3600 %zu\r\n", size);
    peer_send(connection, message, size);
    peer_send(connection, "\r\n", 2);
}

static void confirm(PeerConnection *connection)
{
    const char *data;
    size_t length, size;
    while (size = peer_input(connection, &data), peer_line(data, size, &length)) {
        if (!peer_begins(data, length, "INSERTED ")) {
            peer_strange(connection, data, length);
        }
        connection->confirmed++;
        peer_consume(connection, length + 2);
    }
}

static void ask(PeerConnection *connection)
{
    uint64_t rounds = connection->got * 2;
    connection->asked = rounds < 1 ? 1 : rounds > ROUND_MAXIMUM ? ROUND_MAXIMUM : rounds;
    connection->got = 0;
    for (uint64_t i = 0; i < connection->asked; i++) {
        peer_sendf(connection, "reserve-with-timeout %d\r\n", i == 0 ? 1 : 0);
    }
}

/* One answer; false: not all of it is there. */
static bool take_one(PeerConnection *connection)
{
    const char *data;
    char text[80];
    unsigned long long id;
    size_t length, bytes, size = peer_input(connection, &data);
    if (!peer_line(data, size, &length)) {
        return false;
    }
    snprintf(text, sizeof(text), "%.*s", (int)(length < sizeof(text) ? length : sizeof(text) - 1), data);
    if (strcmp(text, "DELETED") == 0) {
        connection->acknowledged++;
    } else if (strcmp(text, "TIMED_OUT") == 0) {
        connection->asked--;
    } else if (sscanf(text, "RESERVED %llu %zu", &id, &bytes) == 2 && bytes <= PEER_MESSAGE) {
        if (length + 2 + bytes + 2 > size) {
            return false;
        }
        peer_taken(connection, data + length + 2, bytes);
        peer_sendf(connection, "delete %llu\r\n", id);
        connection->asked--;
        connection->got++;
        peer_consume(connection, bytes + 2);
    } else {
        peer_strange(connection, data, length);
    }
    peer_consume(connection, length + 2);
    return true;
}

static void take(PeerConnection *connection)
{
    while (take_one(connection)) {
    }
    if (connection->asked == 0) {
        ask(connection);
    }
}

static void finish(PeerConnection *connection)
{
    (void)connection; /* deletes go along */
}

const PeerKind peer_beanstalkd = {
    .name = "beanstalkd",
    .settings = "-b DIR -f 0: fsync at every write; put, reserve, delete",
    .launch = launch,
    .open = open_queue,
    .put = put,
    .confirm = confirm,
    .take = take,
    .finish = finish,
};
