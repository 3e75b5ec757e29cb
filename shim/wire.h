/* All that is ever interpreted of others' bytes: the daemon's frames, and seven keys of the configuration on stdin.
 * Pure functions, fuzzed by fuzz.c. docs/executor-protocol.md explains the frames byte by byte. */
#pragma once
#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SOCKET_NAME "/exec.sock"
#define LAST_ORDERS "/last-orders"
enum { MAX_DATA = 4 << 20, MAX_STDERR = 64 << 10 }; /* stdin, stdout, an answer; what is kept of a delegate's stderr */
enum { MAX_VARIABLES = 256, MAX_VARIABLE_BYTES = 256 << 10 }; /* CNI_*, and the bytes of them all */
enum { MAX_NAME = 255, MAX_PATH = 4095, MAX_DEADLINE_MS = 3600 * 1000, MAX_SOCKET_DIR = 108 - sizeof SOCKET_NAME };
enum { HEADER = 12, MAX_FRAME = MAX_DATA + MAX_VARIABLE_BYTES + (8 << 10), PATH = 4 + MAX_PATH }; /* payloads */
enum { HELLO = 1, EXITED, FAILED, NETLINK, PRESENT, ABANDONED }; /* of ours; and of the daemon */
enum { WELCOME = 65, EXEC, KILL, OPEN_NETLINK, EXISTS, ANSWER, FORGET, THEN, NEXT };
struct buf { /* bytes that grow */
    uint8_t *data;
    size_t len, cap;
};
struct text { /* bytes inside a frame */
    char *data;
    size_t len;
};
struct reader { /* a payload being read; `bad` once something was missing or too long */
    uint8_t *at, *end;
    bool bad;
};
struct frame {
    uint32_t length, id;
    uint16_t type;
};
struct order { /* EXEC, THEN, NEXT */
    uint32_t deadline_ms, count;
    struct text name, variables[MAX_VARIABLES], input; /* all but the input are terminated too */
};
struct conf {
    char socket_dir[MAX_SOCKET_DIR + 1], bin_dir[MAX_PATH + 1], cni_dir[MAX_PATH + 1], cni_version[64];
    int64_t wait_ms, delete_wait_ms, status_grace_ms;
};

static void add(struct buf *b, const void *data, size_t length) {
    if (b->cap - b->len < length) {
        b->cap = 2 * b->cap > b->len + length ? 2 * b->cap : b->len + length;
        if (!(b->data = realloc(b->data, b->cap))) abort(); /* the front answers for a worker that vanished */
    }
    if (length) memcpy(b->data + b->len, data, length);
    b->len += length;
}
static void drop(struct buf *b, size_t count) { b->len -= count, memmove(b->data, b->data + count, b->len); }

static void put(struct buf *b, uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) add(b, &(uint8_t){(uint8_t)(value >> shift)}, 1);
}
static void put_text(struct buf *b, const void *data, size_t length) { put(b, length, 4), add(b, data, length); }

static size_t frame_begin(struct buf *b, uint16_t type, uint32_t id) {
    put(b, type, 6); /* behind the length, which is known at the end */
    put(b, id, 6);   /* behind two reserved bytes */
    return b->len - HEADER;
}

static void frame_end(struct buf *b, size_t begun) {
    size_t end = b->len;
    b->len = begun;
    put(b, end - begun - HEADER, 4);
    b->len = end;
}

static uint64_t get(struct reader *r, int bytes) {
    uint64_t value = 0;
    r->bad |= r->end - r->at < bytes;
    while (!r->bad && bytes--) value = value << 8 | *r->at++;
    return value;
}

static struct text get_text(struct reader *r, size_t max) {
    size_t length = get(r, 4);
    r->bad |= length > max || length > (size_t)(r->end - r->at);
    struct text t = {(char *)r->at, r->bad ? 0 : length};
    r->at += t.len;
    return t;
}

/* The frame at the front: 1 when it is there as a whole, 0 when more bytes are needed, -1 when it is malformed. */
static int frame_next(const struct buf *b, struct frame *f) {
    static const uint32_t most[] = {64, MAX_FRAME, 0, PATH, PATH, 8 + MAX_DATA, PATH, MAX_FRAME, MAX_FRAME};
    struct reader r = {b->data, b->data + b->len, false};
    if (b->len < HEADER) return 0;
    f->length = (uint32_t)get(&r, 4);
    f->type = (uint16_t)get(&r, 2);
    bool reserved = get(&r, 2) != 0;
    f->id = (uint32_t)get(&r, 4);
    if (reserved || f->type < WELCOME || f->type > NEXT || f->length > most[f->type - WELCOME]) return -1;
    return b->len - HEADER >= f->length;
}

static bool made_of(const char *text, size_t length, const char *marks) { /* letters, digits and `marks` */
    while (length && (isalnum((unsigned char)*text) || (*text && strchr(marks, *text)))) text++, length--;
    return length == 0;
}

static bool is_container_id(const char *text, size_t length) { /* the CNI specification's; fit for a file */
    return length > 0 && length <= MAX_NAME && isalnum((unsigned char)*text) && made_of(text, length, "_.-");
}

static bool decode_exec(struct order *order, struct reader r) {
    size_t bytes = 0;
    order->deadline_ms = (uint32_t)get(&r, 4);
    order->name = get_text(&r, MAX_NAME);
    order->count = (uint32_t)get(&r, 4);
    r.bad |= order->count > MAX_VARIABLES || order->deadline_ms > MAX_DEADLINE_MS;
    for (size_t i = 0; !r.bad && i < order->count; i++) { /* CNI_<letters, digits, _>=<anything but NUL> */
        struct text v = order->variables[i] = get_text(&r, MAX_VARIABLE_BYTES);
        char *equals = memchr(v.data, '=', v.len);
        bytes += v.len;
        r.bad |= bytes > MAX_VARIABLE_BYTES || !equals || equals - v.data < 5 || memcmp(v.data, "CNI_", 4) != 0 ||
                 memchr(v.data, 0, v.len) || !made_of(v.data, (size_t)(equals - v.data), "_");
    }
    order->input = get_text(&r, MAX_DATA);
    if (r.bad || r.at != r.end || memchr(order->name.data, 0, order->name.len)) return false;
    for (size_t i = 0; i < order->count; i++) /* over the length of what follows, which has been read */
        order->variables[i].data[order->variables[i].len] = 0;
    order->name.data[order->name.len] = 0;
    return true;
}

/* The configuration. The tokenizer only finds its way through the document, which the daemon judges strictly: without
 * recursion, never past the end. As in upstream's decoder case does not matter in keys, the last of several wins, null
 * leaves the default. */
enum value { TEXT, DIRECTORY, SECONDS };
static const struct key {
    const char *name;
    enum value kind;
    size_t at, size;
} KEYS[] = {
#define KEY(name, kind, member) {name, kind, offsetof(struct conf, member), sizeof((struct conf *)0)->member}
    KEY("cniVersion", TEXT, cni_version), KEY("daemonSocketDir", DIRECTORY, socket_dir),
    KEY("binDir", DIRECTORY, bin_dir),    KEY("cniDir", DIRECTORY, cni_dir),
    KEY("daemonWait", SECONDS, wait_ms),  KEY("daemonWaitDelete", SECONDS, delete_wait_ms),
    KEY("statusGrace", SECONDS, status_grace_ms)};
struct cursor {
    const char *at, *end;
};
struct sink { /* decoded text; `len` goes on counting beyond `size` */
    char *out;
    size_t size, len;
};

static int peek(struct cursor *c) { /* the next byte that is not white space, -1 at the end */
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r')) c->at++;
    return c->at < c->end ? (unsigned char)*c->at : -1;
}
static bool take(struct cursor *c, int wanted) { return peek(c) == wanted && c->at++; }

static void emit(struct sink *s, unsigned byte) { /* beyond the end it is only counted */
    if (s->len++ < s->size) s->out[s->len - 1] = (char)byte;
}

static bool escape(struct cursor *c, struct sink *s) { /* what follows a backslash */
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = c->at < c->end ? memchr(from, *c->at, 8) : NULL;
    char hex[5] = "";
    if (!found && c->end - c->at >= 5 && *c->at == 'u') memcpy(hex, c->at + 1, 4);
    unsigned code = found ? (unsigned char)to[found - from] : (unsigned)strtoul(hex, NULL, 16);
    if (!found && strspn(hex, "0123456789abcdefABCDEF") != 4) return false;
    if (code >= 0x800) /* UTF-8; halves of surrogate pairs are in nobody's path */
        emit(s, 0xe0 | code >> 12), emit(s, 0x80 | (code >> 6 & 0x3f));
    else if (code >= 0x80)
        emit(s, 0xc0 | code >> 6);
    emit(s, code >= 0x80 ? 0x80 | (code & 0x3f) : code);
    c->at += found ? 1 : 5;
    return true;
}

static bool scalar(struct cursor *c, struct sink *s) { /* a string; or a number, true, false, null */
    bool good = true;
    if (!take(c, '"')) {
        while (c->at < c->end && *c->at && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", *c->at))
            emit(s, (unsigned char)*c->at++);
        return s->len > 0;
    }
    while (good && c->at < c->end && *c->at != '"') {
        char letter = *c->at++;
        if (letter == '\\')
            good = escape(c, s);
        else if ((good = (unsigned char)letter >= 0x20))
            emit(s, (unsigned char)letter);
    }
    return good && c->at < c->end && c->at++;
}

static bool skip_value(struct cursor *c) {
    char open[128]; /* what closes each level: deeper is no configuration */
    size_t depth = 0;
    do {
        int next = peek(c);
        bool opens = next == '{' || next == '[', closes = depth && next == open[depth - 1];
        if (opens && depth == sizeof open) return false;
        if (opens) open[depth] = next == '{' ? '}' : ']';
        depth += (size_t)opens - (size_t)closes;
        if (opens || closes || (depth && (next == ',' || next == ':')))
            c->at++;
        else if (!scalar(c, &(struct sink){0}))
            return false;
    } while (depth);
    return true;
}

/* Puts a value where it belongs; or what it should have been. */
static const char *store(struct conf *conf, const struct key *key, const char *value, size_t length, bool quoted) {
    char *member = (char *)conf + key->at, *end = NULL;
    if (!quoted && strcmp(value, "null") == 0) return NULL;
    if (key->kind == SECONDS) { /* a quoted number is plain enough */
        double seconds = length < 32 && strspn(value, "0123456789.eE+") == length ? strtod(value, &end) : -1;
        if (length == 0 || seconds < 0 || seconds > 86400 || end != value + length) return "seconds, from 0 to 86400";
        memcpy(member, &(int64_t){(int64_t)(seconds * 1000)}, sizeof(int64_t));
    } else if (!quoted || strlen(value) != length || length >= key->size) {
        return key->kind == TEXT ? "a CNI version" : "a path that is not too long";
    } else if (key->kind == DIRECTORY && length && *value != '/') {
        return "an absolute path";
    } else if (key->kind == TEXT || length) {
        memcpy(member, value, length + 1);
    }
    return NULL;
}

/* One member of the object: 0, or the code of an error and its text in `problem`. */
static int take_member(struct conf *conf, struct cursor *c, char problem[128]) {
    char name[32] = "", value[MAX_PATH + 2] = "";
    struct sink to_name = {name, sizeof name - 1, 0}, to_value = {value, sizeof value - 1, 0};
    const struct key *key = NULL;
    if (peek(c) != '"' || !scalar(c, &to_name) || !take(c, ':')) return 6;
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (strlen(name) == to_name.len && strcasecmp(KEYS[i].name, name) == 0) key = &KEYS[i];
    int next = peek(c);
    bool nested = next == '{' || next == '[';
    if (!key || nested ? !skip_value(c) : !scalar(c, &to_value)) return 6;
    const char *want = key ? store(conf, key, nested ? "[" : value, nested ? 1 : to_value.len, next == '"') : NULL;
    if (want) snprintf(problem, 128, "configuration on stdin: %s must be %s", key->name, want);
    return want ? 7 : 0;
}

static int conf_parse(struct conf *conf, const char *text, size_t length, char problem[128]) {
    struct cursor c = {text, text + length};
    *conf = (struct conf){.socket_dir = "/run/multus", .bin_dir = "/opt/cni/bin", .cni_dir = "/var/lib/cni/multus",
                          .wait_ms = 60000, .delete_wait_ms = 10000, .status_grace_ms = 60000};
    snprintf(problem, 128, "configuration on stdin: not a JSON object");
    int code = take(&c, '{') ? 0 : 6;
    if (code || take(&c, '}')) return code || peek(&c) != -1 ? 6 : 0;
    do code = take_member(conf, &c, problem);
    while (code == 0 && take(&c, ','));
    return code ? code : take(&c, '}') && peek(&c) == -1 ? 0 : 6;
}
