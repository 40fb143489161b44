/* peer_rabbitmq.c - RabbitMQ by AMQP 0-9-1, pipelined: persistent messages,
 * publisher confirms, manual acknowledgements; numbers are big-endian.
 *
 * An acknowledgement has no answer. So the last is followed by a question on
 * the same channel: when that is answered, all have arrived. */
#include "amqp.h"
#include "bench.h"

#include <glob.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ID(class, method) ((uint32_t)(class) << 16 | (method))
enum {
    CONNECTION_START = ID(10, 10),
    CONNECTION_START_OK = ID(10, 11),
    CONNECTION_TUNE = ID(10, 30),
    CONNECTION_TUNE_OK = ID(10, 31),
    CONNECTION_OPEN = ID(10, 40),
    CONNECTION_OPEN_OK = ID(10, 41),
    CHANNEL_OPEN = ID(20, 10),
    CHANNEL_OPEN_OK = ID(20, 11),
    QUEUE_DECLARE = ID(50, 10),
    QUEUE_DECLARE_OK = ID(50, 11),
    BASIC_QOS = ID(60, 10),
    BASIC_QOS_OK = ID(60, 11),
    BASIC_CONSUME = ID(60, 20),
    BASIC_CONSUME_OK = ID(60, 21),
    BASIC_PUBLISH = ID(60, 40),
    BASIC_DELIVER = ID(60, 60),
    BASIC_ACK = ID(60, 80),
    CONFIRM_SELECT = ID(85, 10),
    CONFIRM_SELECT_OK = ID(85, 11),
};
enum { DECLARE_PASSIVE = 1, DECLARE_DURABLE = 2, ACK_MULTIPLE = 1 };

/* --- the server ---------------------------------------------------------------------- */

static void set(const char *name, const char *folder, const char *value)
{
    char text[4200];
    snprintf(text, sizeof(text), "%s%s", folder, value);
    setenv(name, text, 1);
}

/* `program` is Erlang's erlexec; RabbitMQ lies beside Erlang. It has no need of epmd, which would outlive it. */
static void launch(const char *program, const char *folder, unsigned port)
{
    char bin[4096], root[4096], pattern[4200], number[16], distribution[16];
    glob_t found;
    snprintf(bin, sizeof(bin), "%s", program);
    dirname(bin);
    snprintf(root, sizeof(root), "%s", bin);
    dirname(dirname(root));
    snprintf(pattern, sizeof(pattern), "%s/../rabbitmq/lib/rabbitmq_server-*", root);
    if (glob(pattern, 0, NULL, &found) != 0) {
        bench_die("there is no %s", pattern);
    }
    snprintf(number, sizeof(number), "%u", port);
    snprintf(distribution, sizeof(distribution), "%u", bench_free_port());
    set("ROOTDIR", root, "");
    set("BINDIR", bin, "");
    set("EMU", "", "beam");
    set("PROGNAME", "", "erl");
    set("HOME", folder, "");
    set("RABBITMQ_HOME", found.gl_pathv[0], "");
    set("ERL_LIBS", found.gl_pathv[0], "/plugins");
    set("RABBITMQ_PLUGINS_DIR", found.gl_pathv[0], "/plugins");
    set("RABBITMQ_MNESIA_BASE", folder, "/mnesia");
    set("RABBITMQ_LOG_BASE", folder, "/log");
    static const char *const none[] = {"RABBITMQ_ENABLED_PLUGINS_FILE", "RABBITMQ_CONFIG_FILE",
                                       "RABBITMQ_ADVANCED_CONFIG_FILE", "RABBITMQ_CONFIG_FILES",
                                       "RABBITMQ_CONF_ENV_FILE"};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        set(none[i], folder, "/none");
    }
    set("RABBITMQ_NODENAME", "", "bench@localhost");
    set("RABBITMQ_NODE_IP_ADDRESS", "", "127.0.0.1");
    set("RABBITMQ_NODE_PORT", "", number);
    set("RABBITMQ_DIST_PORT", "", distribution);
    /* The options of its own script, but for the distribution. */
    execl(program, "erl", "-noinput", "-s", "rabbit", "boot", "-boot", "start_sasl", "+W", "w", "+MBas", "ageffcbf",
          "+MHas", "ageffcbf", "+MBlmbcs", "512", "+MHlmbcs", "512", "+MMmcs", "30", "+P", "1048576", "+t", "5000000",
          "+stbt", "db", "+zdbbl", "128000", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "-sname",
          "bench@localhost", "-setcookie", "bench", "-start_epmd", "false", "-erl_epmd_port", distribution, "-kernel",
          "inet_dist_use_interface", "{127,0,0,1}", "-syslog", "logger", "[]", "-syslog", "syslog_error_logger",
          "false", "-kernel", "prevent_overlapping_partitions", "false", (char *)NULL);
}

/* --- opening -------------------------------------------------------------------------------- */

static void declare(PeerConnection *connection, unsigned bits, const char *type)
{
    AmqpMethod method = amqp_method(QUEUE_DECLARE);
    amqp_add(&method, 0, 2);
    amqp_add_short(&method, type);
    amqp_add(&method, bits, 1);
    amqp_add(&method, 1 + strlen("x-queue-type") + 1 + 4 + strlen(type), 4); /* a table of one */
    amqp_add_short(&method, "x-queue-type");
    amqp_add(&method, 'S', 1);
    amqp_add_text(&method, type, strlen(type), 4);
    amqp_send_method(connection, &method);
    amqp_await(connection, QUEUE_DECLARE_OK);
}

static void open_connection(PeerConnection *connection)
{
    peer_send(connection, "AMQP\0\0\x09\x01", 8);
    amqp_await(connection, CONNECTION_START);
    AmqpMethod method = amqp_method(CONNECTION_START_OK);
    amqp_add(&method, 0, 4); /* no properties */
    amqp_add_short(&method, "PLAIN");
    amqp_add_text(&method, "\0guest\0guest", 12, 4);
    amqp_add_short(&method, "en_US");
    amqp_send_method(connection, &method);
    amqp_await(connection, CONNECTION_TUNE);
    method = amqp_method(CONNECTION_TUNE_OK);
    amqp_add(&method, 16, 2);
    amqp_add(&method, AMQP_FRAME_MAXIMUM, 4);
    amqp_add(&method, 0, 2); /* no heartbeats */
    amqp_send_method(connection, &method);
    method = amqp_method(CONNECTION_OPEN);
    amqp_add_short(&method, "/");
    amqp_add_short(&method, "");
    amqp_add(&method, 0, 1);
    amqp_send_method(connection, &method);
    amqp_await(connection, CONNECTION_OPEN_OK);
    connection->flag = true; /* channel 1 from here */
    method = amqp_method(CHANNEL_OPEN);
    amqp_add_short(&method, "");
    amqp_send_method(connection, &method);
    amqp_await(connection, CHANNEL_OPEN_OK);
}

static void open_queue(PeerConnection *connection, bool to_take, const char *type)
{
    open_connection(connection);
    declare(connection, DECLARE_DURABLE, type);
    if (!to_take) {
        AmqpMethod method = amqp_method(CONFIRM_SELECT);
        amqp_add(&method, 0, 1);
        amqp_send_method(connection, &method);
        amqp_await(connection, CONFIRM_SELECT_OK);
        return;
    }
    AmqpMethod method = amqp_method(BASIC_QOS);
    amqp_add(&method, 0, 4);
    amqp_add(&method, connection->window * 2, 2);
    amqp_add(&method, 0, 1);
    amqp_send_method(connection, &method);
    amqp_await(connection, BASIC_QOS_OK);
    method = amqp_method(BASIC_CONSUME);
    amqp_add(&method, 0, 2);
    amqp_add_short(&method, type);
    amqp_add_short(&method, "one");
    amqp_add(&method, 0, 1);
    amqp_add(&method, 0, 4);
    amqp_send_method(connection, &method);
    amqp_await(connection, BASIC_CONSUME_OK);
}

static void open_classic(PeerConnection *connection, bool to_take)
{
    open_queue(connection, to_take, "classic");
}

static void open_quorum(PeerConnection *connection, bool to_take)
{
    open_queue(connection, to_take, "quorum");
}

/* --- putting ------------------------------------------------------------------------------------ */

static void put(PeerConnection *connection, const char *message, size_t size, const char *queue)
{
    AmqpMethod method = amqp_method(BASIC_PUBLISH), header = {0};
    amqp_add(&method, 0, 2);
    amqp_add_short(&method, ""); /* the exchange that knows queues by name */
    amqp_add_short(&method, queue);
    amqp_add(&method, 0, 1);
    amqp_send_method(connection, &method);
    amqp_add(&header, BASIC_PUBLISH >> 16, 2);
    amqp_add(&header, 0, 2);
    amqp_add(&header, size, 8);
    amqp_add(&header, 0x1000, 2); /* one property: the delivery mode, */
    amqp_add(&header, 2, 1);      /* persistent */
    amqp_send(connection, AMQP_HEADER, header.bytes, header.size);
    amqp_send(connection, AMQP_BODY, message, size);
}

static void put_classic(PeerConnection *connection, const char *message, size_t size)
{
    put(connection, message, size, "classic");
}

static void put_quorum(PeerConnection *connection, const char *message, size_t size)
{
    put(connection, message, size, "quorum");
}

/* connection->tag: it and all before are confirmed; some after it may be. */
static void confirm(PeerConnection *connection)
{
    for (;;) {
        AmqpFrame frame;
        const char *data;
        size_t size = peer_input(connection, &data);
        const char *after = amqp_frame(connection, data, data + size, &frame);
        if (!after) {
            return;
        }
        if (frame.id != BASIC_ACK || frame.size < 4 + 8 + 1) {
            amqp_strange(connection, &frame);
        }
        uint64_t tag = amqp_get64(frame.payload + 4);
        if (tag <= connection->tag || tag > connection->tag + PEER_WINDOW) {
            bench_die("%s: confirms what was not put", connection->name);
        }
        for (uint64_t i = frame.payload[12] & ACK_MULTIPLE ? connection->tag + 1 : tag; i <= tag; i++) {
            connection->confirmed += !connection->done[i % PEER_WINDOW];
            connection->done[i % PEER_WINDOW] = true;
        }
        while (connection->done[(connection->tag + 1) % PEER_WINDOW]) {
            connection->done[++connection->tag % PEER_WINDOW] = false;
        }
        peer_consume(connection, (size_t)(after - data));
    }
}

/* --- taking ---------------------------------------------------------------------------------------- */

static void acknowledge(PeerConnection *connection)
{
    AmqpMethod method = amqp_method(BASIC_ACK);
    amqp_add(&method, connection->tag, 8);
    amqp_add(&method, ACK_MULTIPLE, 1);
    amqp_send_method(connection, &method);
    connection->acknowledged += connection->unacknowledged;
    connection->unacknowledged = 0;
}

/* One delivery, of three frames; false: not all of it is there. */
static bool take_one(PeerConnection *connection)
{
    AmqpFrame method, header, body;
    const char *data;
    size_t size = peer_input(connection, &data);
    const char *end = data + size, *after = amqp_frame(connection, data, end, &method);
    if (after && (method.id != BASIC_DELIVER || method.size < 4 + 1 + 8 ||
                  method.size < 4 + 1 + (size_t)(unsigned char)method.payload[4] + 8)) {
        amqp_strange(connection, &method);
    }
    if (!after || !(after = amqp_frame(connection, after, end, &header)) ||
        !(after = amqp_frame(connection, after, end, &body))) {
        return false;
    }
    if (header.type != AMQP_HEADER || header.size < 12 || body.type != AMQP_BODY ||
        amqp_get64(header.payload + 4) != body.size) {
        amqp_strange(connection, &body);
    }
    connection->tag = amqp_get64(method.payload + 5 + (unsigned char)method.payload[4]);
    peer_taken(connection, body.payload, body.size);
    peer_consume(connection, (size_t)(after - data));
    return true;
}

static void take(PeerConnection *connection)
{
    while (take_one(connection)) {
        if (++connection->unacknowledged >= (connection->window + 3) / 4) {
            acknowledge(connection);
        }
    }
}

static void finish(PeerConnection *connection, const char *type)
{
    if (connection->unacknowledged > 0) {
        acknowledge(connection);
    }
    declare(connection, DECLARE_PASSIVE | DECLARE_DURABLE, type);
}

static void finish_classic(PeerConnection *connection)
{
    finish(connection, "classic");
}

static void finish_quorum(PeerConnection *connection)
{
    finish(connection, "quorum");
}

const PeerKind peer_rabbitmq = {
    .name = "rabbitmq",
    .settings = "durable classic queue, persistent messages, publisher confirms, manual acknowledgements",
    .launch = launch,
    .open = open_classic,
    .put = put_classic,
    .confirm = confirm,
    .take = take,
    .finish = finish_classic,
};

const PeerKind peer_rabbitmq_quorum = {
    .name = "rabbitmq-quorum",
    .settings = "the same server, quorum queue (of one node)",
    .launch = launch,
    .open = open_quorum,
    .put = put_quorum,
    .confirm = confirm,
    .take = take,
    .finish = finish_quorum,
};
