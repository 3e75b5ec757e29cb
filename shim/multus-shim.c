/* multus-shim: what the container runtime executes; README.md. The *front* is the runtime's child and alone holds its
 * stdin, stdout and stderr. The *worker* is a child subreaper: it holds the socket, runs the delegates, and ends them
 * when the front dies, because a runtime kills only the pid it started. The worker's poll waits on no single pipe. */
#define _GNU_SOURCE
#include "wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#ifndef PROTOCOL_MAX /* the tests of the negotiation build others */
#define PROTOCOL_MIN 1
#define PROTOCOL_MAX 2
#endif
#define LATEST "1.1.0"
#define SUPPORTED "\"0.1.0\", \"0.2.0\", \"0.3.0\", \"0.3.1\", \"0.4.0\", \"1.0.0\", \"1.1.0\""
#define MARKER "MULTUS_DELEGATE" /* in the environment of delegates, for each of them with a value of its own */

enum { MAX_DELEGATES = 64, HIGH_WATER = 8 << 20, TICK_MS = 20 };
enum outcome { RAN, SIGNALLED, TIMED_OUT, KILLED, OVERFLOWED };
enum reason { NOT_FOUND = 1, UNUSABLE, ITSELF, REFUSED, BUSY, LOCKED, HOST_NETNS, SKIPPED };
enum ending { ANSWERED, LOST, NO_DAEMON, FRONT_GONE };
struct delegate {
    uint32_t id;
    pid_t pid; /* and its process group */
    int in, out, err, lock, status;
    char mark[sizeof MARKER + 12]; /* the variable that nothing but it and its descendants have */
    struct buf input, output, errors;
    int64_t deadline, kill_at, reaped_at, worked_us; /* of now_ms(), 0: not yet; how long it worked, once reaped */
    enum outcome outcome;
};
static struct worker {
    bool is_call; /* else the agent */
    const char *verb, *netns;
    struct conf conf;
    char *search; /* where delegates are looked for: binDir, CNI_PATH */
    struct stat self;
    struct buf input, in, out, answer;
    int front, signals, sock, passed; /* passed: a descriptor on its way to the daemon, for the order passed_id */
    uint32_t passed_id, code, version; /* version: of the protocol, once welcomed */
    bool welcomed, answered, leaving, orphaned; /* orphaned: Multus was uninstalled, these are its last orders */
    bool serial, failed;                        /* the newest order is in a series; the last that ended has failed */
    int64_t started, wait_ms, patience_ms;      /* for a daemon to be there; for it to begin with the call */
    int64_t until, next_try, budget_end, begun; /* of now_ms(); begun: the newest EXEC, and the series behind it */
    struct delegate *delegates[MAX_DELEGATES];
    size_t running;
    char why[256];
} w = {.front = -1, .signals = -1, .sock = -1, .passed = -1, .netns = ""};
extern char **environ;

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
static int64_t now_ms(void) { return now_us() / 1000; }
static bool begins(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }
static void shut(int *fd) { *fd = *fd < 0 ? -1 : (close(*fd), -1); }

/* The first regular file of that name in the directories of `search`; 0 or the reason against it. */
static enum reason find(const char *name, char path[2 * MAX_PATH]) {
    size_t length;
    struct stat found;
    if (!*name || *name == '.' || strchr(name, '/')) return REFUSED;
    for (const char *at = w.search; *at; at += length + (at[length] == ':')) {
        length = strcspn(at, ":");
        if (*at != '/' || length > MAX_PATH) continue; /* a relative one is no certain place */
        snprintf(path, 2 * MAX_PATH, "%.*s/%s", (int)length, at, name);
        if (stat(path, &found) == 0 && S_ISREG(found.st_mode))
            return found.st_dev == w.self.st_dev && found.st_ino == w.self.st_ino ? ITSELF : 0;
    }
    return NOT_FOUND;
}

/* Our own environment without CNI_*, the frame's CNI_*, our own CNI_PATH, the mark; to be freed. */
static char **variables(const struct order *order, char *mark) {
    size_t own = 0, count = 0;
    while (environ[own]) own++;
    char **made = calloc(own + order->count + 3, sizeof *made);
    if (!made) abort();
    for (size_t i = 0; i < own; i++)
        if (!begins(environ[i], "CNI_") || (w.orphaned && begins(environ[i], "CNI_NETNS="))) made[count++] = environ[i];
    for (size_t i = 0; i < order->count; i++)
        if (!begins(order->variables[i].data, "CNI_PATH=")) made[count++] = order->variables[i].data;
    made[count++] = w.search - sizeof "CNI_PATH=" + 1; /* plugins delegate in turn: no directory from a frame */
    made[count] = mark;
    return made;
}

/* A descriptor of <socketDir>/inflight/<containerID> with a shared lock, which every descendant inherits: after a crash
 * of ours the exclusive lock tells whether any of them is left. -1 without a container, -2 when it can't be had. */
static int lock_inflight(char **variable) {
    char path[MAX_SOCKET_DIR + MAX_NAME + 32];
    while (*variable && (!begins(*variable, "CNI_CONTAINERID=") || !(*variable)[16])) variable++;
    if (!*variable) return -1;
    if (!is_container_id(*variable + 16, strlen(*variable + 16))) return -2;
    snprintf(path, sizeof path, "%s/inflight", w.conf.socket_dir);
    mkdir(path, 0700);
    snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", *variable + 16);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    for (int tries = 0; fd >= 0 && tries < 200; tries++, poll(NULL, 0, 10)) /* it is held exclusively for an instant */
        if (flock(fd, LOCK_SH | LOCK_NB) == 0) return fd;
    shut(&fd);
    return -2;
}

/* Runs it in a process group of its own: cwd / (ours), signals reset, nothing open but the pipes and the lock. */
static int spawn(struct delegate *d, const char *path, char **envp) {
    int *ours[3] = {&d->in, &d->out, &d->err}, both[2], theirs[3] = {-1, -1, -1}, error = 0;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    posix_spawn_file_actions_init(&actions), posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    sigemptyset(&signals), posix_spawnattr_setsigmask(&attributes, &signals);
    sigfillset(&signals), posix_spawnattr_setsigdefault(&attributes, &signals);
    for (int i = 0; i < 3 && error == 0; i++) {
        if ((error = pipe2(both, O_CLOEXEC) < 0 ? errno : 0) != 0) break;
        *ours[i] = both[i == 0], theirs[i] = both[i != 0];
        fcntl(*ours[i], F_SETFL, O_NONBLOCK);
        posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
    }
    if (d->lock >= 0) posix_spawn_file_actions_adddup2(&actions, d->lock, d->lock); /* which keeps it open */
    if (error == 0) error = posix_spawn(&d->pid, path, &actions, &attributes, (char *[]){(char *)path, NULL}, envp);
    for (int i = 0; i < 3; i++) shut(&theirs[i]);
    posix_spawn_file_actions_destroy(&actions), posix_spawnattr_destroy(&attributes);
    return error;
}

static void delegate_free(struct delegate *d) {
    /* A daemon that a plugin left behind is no straggler; after a violent end whoever can't be ended is one. */
    if (d->lock >= 0 && d->reaped_at && d->outcome == RAN) flock(d->lock, LOCK_UN);
    for (int i = 0; i < 4; i++) shut((int *[]){&d->in, &d->out, &d->err, &d->lock}[i]);
    free(d->input.data), free(d->output.data), free(d->errors.data), free(d);
}

static void collect(int *fd, struct buf *into) { /* what is there now, at most a mebibyte: others want their turn */
    uint8_t chunk[65536];
    ssize_t n = 1;
    for (int turn = 0; *fd >= 0 && n > 0 && turn < 16; turn++)
        if ((n = read(*fd, chunk, sizeof chunk)) > 0)
            add(into, chunk, (size_t)n);
        else if (n == 0 || errno != EAGAIN)
            shut(fd);
}

static void pump(struct delegate *d) {
    while (d->in >= 0) {
        ssize_t n = d->input.len ? write(d->in, d->input.data, d->input.len) : 0;
        if (n < 0 && errno == EAGAIN) break;
        n > 0 ? drop(&d->input, (size_t)n) : shut(&d->in); /* all written, or nobody reads: not every plugin does */
    }
    collect(&d->out, &d->output);
    collect(&d->err, &d->errors);
    if (d->errors.len > MAX_STDERR) drop(&d->errors, d->errors.len - MAX_STDERR);
    if (d->output.len > MAX_DATA) {
        d->output.len = 0;
        d->outcome = OVERFLOWED;
        shut(&d->out);
        if (!d->reaped_at) kill(-d->pid, SIGKILL);
    }
}

static struct delegate *delegate_start(const struct order *order, uint32_t id, enum reason *reason, int *error) {
    static unsigned started;
    char path[2 * MAX_PATH];
    struct delegate *d = calloc(1, sizeof *d);
    if (!d) abort();
    *d = (struct delegate){id, .in = -1, .out = -1, .err = -1, .lock = -1, .deadline = w.begun + order->deadline_ms};
    snprintf(d->mark, sizeof d->mark, MARKER "=%u", ++started);
    char **envp = variables(order, d->mark);
    add(&d->input, order->input.data, order->input.len);
    *reason = find(order->name.data, path);
    *error = EINVAL;
    if (*reason == 0 && !w.orphaned && (d->lock = lock_inflight(envp)) == -2)
        *reason = LOCKED, *error = errno;
    else if (*reason == 0 && poll(&(struct pollfd){.fd = w.sock, .events = POLLRDHUP}, 1, 0) != 0)
        *reason = BUSY; /* who ordered it has died: the DEL of a successor may be over already */
    else if (*reason == 0 && (*error = spawn(d, path, envp)) != 0)
        *reason = UNUSABLE;
    free(envp);
    d->worked_us = -now_us();
    if (*reason == 0) return pump(d), d;
    delegate_free(d);
    return NULL;
}

static void stop(struct delegate *d, enum outcome why) { /* SIGTERM, a second later SIGKILL */
    if (d->reaped_at || d->outcome != RAN) return;
    d->outcome = why;
    d->kill_at = now_ms() + 1000;
    kill(-d->pid, SIGTERM), kill(-d->pid, SIGCONT); /* a stopped one could not act on it */
}

static ssize_t read_proc(int pid, const char *name, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
    text[n > 0 ? n : 0] = 0, shut(&fd);
    return n;
}

/* The direct and adopted children, or those that have the mark in their environment still. Whether there are any. */
static bool signal_children(int number, const char *mark) {
    static char text[1 << 20];
    DIR *proc = opendir("/proc");
    bool any = false;
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        int parent = 0, pid = atoi(entry->d_name);
        if (pid <= 0 || read_proc(pid, "stat", text, 512) <= 0 || !strrchr(text, ')') || /* in a name may be anything */
            sscanf(strrchr(text, ')'), ") %*c %d", &parent) != 1 || parent != getpid())
            continue;
        ssize_t n = mark ? read_proc(pid, "environ", text, sizeof text) : 0;
        if (!mark || (n > 0 && memmem(text, (size_t)n, mark, strlen(mark) + 1))) any |= kill(pid, number) == 0;
    }
    if (proc) closedir(proc);
    return any;
}

/* A delegate is finished when its pid is reaped; plugins that leave daemons behind leave pipes open. After a violent
 * end its group, and who left that (not seen in the instant of an exec), are given two seconds to be gone. */
static bool settled(const struct delegate *d, int64_t now) {
    if (d->reaped_at && d->outcome != RAN && now < d->reaped_at + 2000 &&
        (kill(-d->pid, 0) == 0 || errno != ESRCH || signal_children(SIGKILL, d->mark) || now < d->reaped_at + 40))
        return false;
    return d->reaped_at && ((d->out < 0 && d->err < 0) || now >= d->reaped_at + 100);
}

static bool reap(void) { /* false: there is no child left */
    for (siginfo_t dead;; waitpid(dead.si_pid, NULL, 0)) {
        dead = (siginfo_t){0};
        if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) < 0) return errno != ECHILD;
        if (dead.si_pid == 0) return true;
        for (size_t i = 0; i < w.running; i++) {
            struct delegate *d = w.delegates[i];
            if (d->pid != dead.si_pid || d->reaped_at) continue;
            if (dead.si_code != CLD_EXITED && d->outcome == RAN) d->outcome = SIGNALLED;
            if (d->outcome != RAN) kill(-d->pid, SIGKILL); /* its children would work on; the pid is still theirs */
            d->reaped_at = now_ms();
            d->worked_us += now_us();
            d->status = dead.si_status;
        }
    }
}

static void drain_signals(void) {
    struct signalfd_siginfo info;
    while (read(w.signals, &info, sizeof info) == sizeof info) w.leaving |= info.ssi_signo != SIGCHLD;
}

static void end_everything(void) { /* SIGTERM, then SIGKILL as often as it takes, until no child is left */
    int64_t patience = now_ms() + 1000;
    for (int number = SIGTERM; reap(); number = now_ms() < patience ? SIGCONT : SIGKILL) {
        for (size_t i = 0; i < w.running; i++)
            if (!w.delegates[i]->reaped_at) kill(-w.delegates[i]->pid, number);
        signal_children(number, NULL);
        poll(&(struct pollfd){.fd = w.signals, .events = POLLIN}, 1, number == SIGTERM ? 0 : TICK_MS);
        drain_signals();
    }
    while (w.running) delegate_free(w.delegates[--w.running]);
}

static void disconnect(const char *why, bool final) { /* final: no second attempt */
    if (why) snprintf(w.why, sizeof w.why, "%s", why);
    shut(&w.sock), shut(&w.passed);
    w.in.len = w.out.len = 0;
    w.welcomed |= final;
    w.next_try = now_ms() + TICK_MS;
    w.until = now_ms() + w.wait_ms; /* before its WELCOME nothing was begun: its successor may be waited for */
}

static bool is_file(int fd, const char *path) {
    struct stat one, other;
    return fstat(fd, &one) == 0 && stat(path, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static int netlink_in(const char *path, enum reason *reason) { /* a route netlink socket of that network namespace */
    int made = -1, ns = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    *reason = is_file(ns, "/proc/self/ns/net") || is_file(ns, "/proc/1/ns/net") ? HOST_NETNS : UNUSABLE;
    if (*reason == UNUSABLE && own >= 0 && setns(ns, CLONE_NEWNET) == 0) {
        made = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (setns(own, CLONE_NEWNET) < 0) abort(); /* never go on in a pod's namespace */
    }
    shut(&ns), shut(&own);
    return made;
}

static void say_hello(void) {
    enum reason reason;
    size_t count = 0, begun = frame_begin(&w.out, HELLO, 0);
    add(&w.out, "MLTX", 4);
    put(&w.out, PROTOCOL_MIN, 2), put(&w.out, PROTOCOL_MAX, 2);
    put(&w.out, w.is_call ? 1 : 2, 4);
    put(&w.out, (uint64_t)w.started, 8);
    put_text(&w.out, MULTUS_VERSION, strlen(MULTUS_VERSION));
    put_text(&w.out, w.search, strnlen(w.search, MAX_PATH));
    for (char **v = environ; *v; v++) count += begins(*v, "CNI_");
    put(&w.out, count, 4);
    for (char **v = environ; *v; v++)
        if (begins(*v, "CNI_")) put_text(&w.out, *v, strlen(*v)); /* nothing else leaves the host */
    put_text(&w.out, w.input.data, w.input.len);
    int netlink = netlink_in(w.netns, &reason); /* only to see whether one can be had */
    put(&w.out, netlink < 0 ? reason : 0, 4), shut(&netlink);
    frame_end(&w.out, begun);
}

/* After an uninstallation no daemon will come. What it left to do for a container is in a file of frames. `error`: what
 * connect said; a backlog that is full is a daemon's. */
static void take_last_orders(int error) {
    char path[MAX_PATH + MAX_NAME + 32];
    struct stat found;
    snprintf(path, sizeof path, "%s" LAST_ORDERS "/", w.conf.cni_dir);
    if (!(w.orphaned = w.is_call && error != EAGAIN && stat(path, &found) == 0)) return;
    snprintf(w.why, sizeof w.why, "Multus was uninstalled here: let the runtime read its CNI configuration again");
    if (strcmp(w.verb, "DEL") == 0)
        w.sock = open(strcat(path, getenv("CNI_CONTAINERID")), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    w.welcomed = w.sock >= 0, w.until = 0;
}

static void try_connect(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer = {0};
    w.next_try = now_ms() + TICK_MS;
    snprintf(address.sun_path, sizeof address.sun_path, "%s" SOCKET_NAME, w.conf.socket_dir);
    w.sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connect(w.sock, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        if (error == EAGAIN) w.until = now_ms() + w.wait_ms; /* it is there, its backlog is full */
        snprintf(w.why, sizeof w.why, "multus-daemon is not there (%s: %s)", address.sun_path, strerror(error));
        shut(&w.sock), take_last_orders(error);
    } else if (getsockopt(w.sock, SOL_SOCKET, SO_PEERCRED, &peer, &(socklen_t){sizeof peer}) < 0 || peer.uid != 0) {
        disconnect("the socket of multus-daemon is not root's", true);
    } else {
        say_hello();
    }
}

static bool pass_descriptor(void) { /* a frame this small goes as a whole or not at all */
    struct buf frame = {0};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = "";
    frame_end(&frame, frame_begin(&frame, NETLINK, w.passed_id));
    struct msghdr message = {.msg_iov = &(struct iovec){frame.data, frame.len}, .msg_iovlen = 1};
    message.msg_control = control, message.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &w.passed, sizeof(int));
    bool done = sendmsg(w.sock, &message, MSG_NOSIGNAL) >= 0 || errno != EAGAIN;
    free(frame.data);
    return done;
}

/* What a series has to tell is told at its end, unless it is much: for each reply there is a thread to wake. */
static bool may_send(void) { return w.out.len > (w.serial && w.running ? MAX_STDERR : 0); }
static void flush(void) {
    while (w.sock >= 0 && may_send()) {
        ssize_t n = send(w.sock, w.out.data, w.out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) return;
        /* When nobody reads any more there may still be an answer to read; behind it the end will show. */
        drop(&w.out, n < 0 ? w.out.len : (size_t)n);
    }
    if (w.passed >= 0 && pass_descriptor()) shut(&w.passed);
}

static void put_string(const char *before, const char *text) { /* JSON; what is not ASCII becomes ? */
    char escaped[8];
    add(&w.answer, before, strlen(before)), add(&w.answer, "\"", 1);
    for (; *text; text++)
        if (*text == '"' || *text == '\\' || (unsigned char)*text < 0x20)
            add(&w.answer, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", *text));
        else
            add(&w.answer, (unsigned char)*text < 0x7f ? text : "?", 1);
    add(&w.answer, "\"", 1);
}

/* The error object of the CNI specification is the answer; 1, the exit status that goes with it. */
__attribute__((format(printf, 2, 3))) static uint32_t fail(int code, const char *format, ...) {
    char message[2 * MAX_PATH] = "multus-shim: ", number[32];
    va_list rest;
    va_start(rest, format);
    vsnprintf(message + strlen(message), sizeof message - strlen(message), format, rest);
    va_end(rest);
    put_string("{\n    \"cniVersion\": ", *w.conf.cni_version ? w.conf.cni_version : LATEST);
    add(&w.answer, number, (size_t)snprintf(number, sizeof number, ",\n    \"code\": %d", code));
    put_string(",\n    \"msg\": ", message);
    add(&w.answer, "\n}\n", 3);
    return 1;
}

static void report(uint16_t type, uint32_t id, uint32_t first, uint32_t second, const struct delegate *d) {
    if (w.orphaned) { /* nobody is told: the first failure is the answer, in the plugin's own words if it has any */
        bool failed = w.code == 0 && (type != EXITED || first != RAN || second != 0);
        if (failed && d) add(&w.answer, d->output.data, d->output.len);
        if (failed && !w.answer.len) fail(11, "%s (its last order %u: failure %u, %u)", w.why, id, first, second);
        w.code |= failed;
        return;
    }
    size_t begun = frame_begin(&w.out, type, id);
    put(&w.out, first, 4), put(&w.out, second, 4);
    if (d) {
        put_text(&w.out, d->output.data, d->output.len);
        put_text(&w.out, d->errors.data, d->errors.len);
        if (w.version > 1) put(&w.out, (uint64_t)d->worked_us, 4);
    }
    frame_end(&w.out, begun);
}

static struct delegate *by_id(uint32_t id) {
    for (size_t i = 0; i < w.running; i++)
        if (w.delegates[i]->id == id) return w.delegates[i];
    return NULL;
}

static bool on_exec(const struct frame *f, struct reader r) {
    struct order order;
    enum reason reason = BUSY;
    int error = EAGAIN;
    if (by_id(f->id) || !decode_exec(&order, r)) return false;
    if (!(w.serial = f->type != EXEC)) w.begun = now_ms();
    if (w.serial && ((f->type == THEN && w.failed) || now_ms() >= w.begun + order.deadline_ms)) reason = SKIPPED;
    bool may = reason != SKIPPED && w.running < MAX_DELEGATES;
    struct delegate *d = may ? delegate_start(&order, f->id, &reason, &error) : NULL;
    if ((w.failed = !d))
        report(FAILED, f->id, reason, (uint32_t)error, NULL);
    else
        w.delegates[w.running++] = d;
    return true;
}

static bool on_path(const struct frame *frame, struct reader r) { /* OPEN_NETLINK, EXISTS, FORGET */
    char path[MAX_PATH + 1] = "";
    struct stat found;
    enum reason reason = REFUSED;
    struct text t = get_text(&r, MAX_PATH);
    memcpy(path, t.data, t.len);
    if (r.bad || r.at != r.end || strlen(path) != t.len) return false;
    if (frame->type == OPEN_NETLINK && w.is_call && !*path) memcpy(path, w.netns, strnlen(w.netns, MAX_PATH));
    if (frame->type == FORGET) return w.orphaned && (w.code || unlink(path) == 0 || errno == ENOENT);
    uint32_t error = stat(path, &found) == 0 ? 0 : (uint32_t)errno;
    if (frame->type == OPEN_NETLINK && (!w.is_call || strcmp(path, w.netns) == 0)) /* a call has one namespace only */
        w.passed = netlink_in(path, &reason);
    w.passed_id = frame->id;
    if (frame->type == EXISTS)
        report(PRESENT, frame->id, error, 0, NULL);
    else if (w.passed < 0)
        report(FAILED, frame->id, reason, error ? error : EINVAL, NULL);
    return true;
}

static bool on_welcome(struct reader r) {
    uint64_t version = get(&r, 2), reserved = get(&r, 2), budget = get(&r, 4); /* a later version may append to it */
    if (r.bad || reserved || w.welcomed || version < PROTOCOL_MIN || version > PROTOCOL_MAX) return false;
    w.budget_end = budget ? now_ms() + (int64_t)budget + 5000 : 0;
    return w.version = (uint32_t)version, w.welcomed = true;
}

static bool on_answer(struct reader r) { /* instead of WELCOME it is a refusal */
    w.code |= (uint32_t)get(&r, 4); /* which may have failed before it was to succeed: see report() */
    struct text t = get_text(&r, MAX_DATA);
    add(&w.answer, t.data, t.len);
    return w.answered = !r.bad && r.at == r.end && w.code < 256;
}

static bool dispatch(const struct frame *f) {
    struct reader r = {w.in.data + HEADER, w.in.data + HEADER + f->length, false};
    if (f->type == WELCOME) return on_welcome(r);
    if (f->type == ANSWER) return on_answer(r);
    if (w.welcomed && (f->type == EXEC || (f->type >= THEN && w.version > 1))) return on_exec(f, r);
    if (f->type == KILL && by_id(f->id)) stop(by_id(f->id), KILLED); /* else it ended meanwhile */
    return w.welcomed && f->type < THEN && (f->type == KILL || on_path(f, r));
}

static bool may_take(void) { /* no order is taken before the daemon has read what it was sent */
    return w.sock >= 0 && !w.answered && w.passed < 0 && w.out.len < HIGH_WATER && !(w.orphaned && w.running);
}

static int next_order(struct frame *f) { /* as frame_next(); 0 also while it must wait */
    int whole = may_take() ? frame_next(&w.in, f) : 0;
    return whole > 0 && f->type >= THEN && w.running ? 0 : whole;
}

static void take_orders(void) {
    struct frame f;
    int whole;
    while ((whole = next_order(&f)) > 0)
        dispatch(&f) ? drop(&w.in, HEADER + (size_t)f.length)
                     : disconnect("multus-daemon broke the executor protocol: an order that can't be understood", true);
    if (whole < 0) disconnect("multus-daemon broke the executor protocol: a frame of unknown type or length", true);
}

static void settle(int64_t now) {
    for (size_t i = 0; i < w.running; i++) {
        struct delegate *d = w.delegates[i];
        pump(d);
        if (now >= d->deadline) stop(d, TIMED_OUT);
        if (d->kill_at && now >= d->kill_at && !d->reaped_at) kill(-d->pid, SIGKILL);
        if (settled(d, now)) {
            if (w.sock >= 0) report(EXITED, d->id, d->outcome, (uint32_t)d->status, d);
            w.failed = d->outcome != RAN || d->status != 0;
            delegate_free(d);
            w.delegates[i--] = w.delegates[--w.running];
        }
    }
}

static void wait_for_events(void) {
    struct frame f;
    uint8_t chunk[65536];
    struct pollfd fds[3 + 3 * MAX_DELEGATES] = {{.fd = w.front}, {.fd = w.signals, .events = POLLIN}, {.fd = w.sock}};
    nfds_t count = 3;
    bool held = next_order(&f) != 0; /* orders that came behind a descriptor */
    fds[2].events = (short)((may_take() ? POLLIN : 0) | (may_send() || w.passed >= 0 ? POLLOUT : 0));
    for (size_t i = 0; i < w.running; i++) {
        fds[count++] = (struct pollfd){.fd = w.delegates[i]->in, .events = POLLOUT};
        fds[count++] = (struct pollfd){.fd = w.delegates[i]->out, .events = POLLIN};
        fds[count++] = (struct pollfd){.fd = w.delegates[i]->err, .events = POLLIN};
    }
    poll(fds, count, held ? 0 : w.running || w.sock < 0 ? TICK_MS : w.welcomed && !w.budget_end ? -1 : 500);
    w.leaving |= fds[0].revents != 0;
    drain_signals();
    if (!(fds[2].revents & (POLLIN | POLLHUP | POLLERR)) || !may_take()) return;
    ssize_t n = read(w.sock, chunk, sizeof chunk);
    if (n > 0)
        add(&w.in, chunk, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        disconnect(w.welcomed ? "multus-daemon went away in the middle of the call" : "multus-daemon went away", false);
}

static enum ending serve(void) { /* one call, or one connection of the agent, to its end */
    for (;; flush(), wait_for_events()) {
        int64_t now = now_ms();
        reap();
        settle(now);
        take_orders();
        if (w.leaving || w.answered) return w.leaving ? FRONT_GONE : ANSWERED;
        if (w.sock >= 0 && w.welcomed && w.budget_end && now >= w.budget_end)
            disconnect("multus-daemon did not answer within its own budget", false);
        if (w.sock < 0 && w.welcomed && w.running == 0) return LOST;
        if (w.sock < 0 && !w.welcomed && now >= w.next_try) try_connect();
        if (w.sock >= 0 && !w.welcomed && now >= w.started + w.patience_ms)
            disconnect("multus-daemon is there but did not begin with the call in time", false);
        if (!w.welcomed && (now >= w.started + w.patience_ms || (w.sock < 0 && now >= w.until))) return NO_DAEMON;
    }
}

static enum ending run_worker(void) {
    w.welcomed = w.answered = w.serial = false;
    w.next_try = w.answer.len = w.code = 0;
    w.until = w.started + w.wait_ms;
    enum ending ending = serve();
    /* What finished delegates left behind on purpose survives an orderly end, but not a call that was given up. */
    if (w.running || (ending == FRONT_GONE && w.is_call)) end_everything();
    if (ending == FRONT_GONE && w.welcomed && w.sock >= 0) /* nothing is left: the daemon may let go of the sandbox */
        frame_end(&w.out, frame_begin(&w.out, ABANDONED, 0));
    for (int tries = 0; ending == FRONT_GONE && w.sock >= 0 && w.out.len && tries < 100; tries++, flush())
        poll(&(struct pollfd){.fd = w.sock, .events = POLLOUT}, 1, 10);
    disconnect(NULL, false);
    return ending;
}

static void become_worker(void) {
    static const char label[] = "CNI_PATH=";
    const char *path = getenv("CNI_PATH"), *bin = w.conf.bin_dir;
    bool more = path && *path && strcmp(path, bin) != 0;
    size_t size = sizeof label + strlen(bin) + (more ? strlen(path) + 1 : 0);
    char *variable = malloc(size);
    sigset_t ours;
    if (!variable || stat("/proc/self/exe", &w.self) < 0 || chdir("/") < 0) abort();
    snprintf(variable, size, "%s%s%s%s", label, bin, more ? ":" : "", more ? path : "");
    w.search = variable + sizeof label - 1;
    sigemptyset(&ours);
    for (int i = 0; i < 4; i++) sigaddset(&ours, (int[]){SIGCHLD, SIGTERM, SIGINT, SIGHUP}[i]);
    sigprocmask(SIG_SETMASK, &ours, NULL);
    w.signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static uint32_t without_daemon(enum ending ending) {
    char path[MAX_PATH + MAX_NAME + 16];
    struct stat found;
    if (w.orphaned && strcmp(w.verb, "DEL") != 0) return fail(strcmp(w.verb, "STATUS") == 0 ? 50 : 7, "%s", w.why);
    if (strcmp(w.verb, "STATUS") == 0) { /* an ADD would wait for it, so a short absence is none */
        snprintf(path, sizeof path, "%s/heartbeat", w.conf.socket_dir);
        if (stat(path, &found) == 0 && llabs((long long)time(NULL) - found.st_mtime) * 1000 < w.conf.status_grace_ms)
            return 0;
        return fail(50, "%s, and has shown no sign of life lately", w.why);
    }
    if (ending == LOST || ending == FRONT_GONE) /* or the worker alone was told to end */
        return fail(11, "%s; try again", ending == LOST ? w.why : "ended by a signal");
    if (strcmp(w.verb, "DEL") != 0) return fail(11, "%s; waited %d s", w.why, (int)((now_ms() - w.started) / 1000));
    snprintf(path, sizeof path, "%s/%s", w.conf.cni_dir, getenv("CNI_CONTAINERID"));
    /* Only a plain "there is none" lets DEL succeed: a disk that fails is no such answer. */
    if (lstat(path, &found) < 0 && (errno == ENOENT || errno == ENOTDIR)) return 0;
    return fail(11, "%s; attachments of this container are on record in %s", w.why, path);
}

/* Nothing is left to be done for any container, so no runtime remembers a configuration that names this executable. */
static void leave(void) {
    char path[MAX_PATH + 32], self[MAX_PATH + 1] = "";
    snprintf(path, sizeof path, "%s" LAST_ORDERS, w.conf.cni_dir);
    if (rmdir(path) == 0 && readlink("/proc/self/exe", self, MAX_PATH) > 0) unlink(self); /* not its successor */
}

static void write_all(int fd, const void *data, size_t length) {
    for (ssize_t n; length > 0 && (n = write(fd, data, length)) > 0; data = (const char *)data + n)
        length -= (size_t)n; /* an error: whoever asked is gone */
}

static void read_all(int fd, struct buf *into, size_t max) { /* to its end, or to more than `max` */
    uint8_t chunk[65536];
    for (ssize_t n = 1; into->len <= max && (n = read(fd, chunk, sizeof chunk)) > 0;) add(into, chunk, (size_t)n);
}

static _Noreturn void work(void) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    setsid(); /* what is sent to the runtime's process group is not meant for delegates */
    become_worker();
    enum ending ending = run_worker();
    uint32_t code = ending == ANSWERED ? w.code : without_daemon(ending);
    if (w.orphaned && code == 0) leave();
    write_all(w.front, w.answer.data, w.answer.len);
    _exit((int)code);
}

static uint32_t front(void) {
    int ends[2], status;
    pid_t pid = pipe2(ends, O_CLOEXEC) == 0 ? fork() : -1;
    if (pid < 0) return fail(11, "no worker process: %s", strerror(errno));
    w.front = ends[1]; /* an error on it is how the worker learns of our end */
    close(ends[pid != 0]);
    if (pid == 0) work();
    read_all(ends[0], &w.answer, MAX_DATA);
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status)) return (uint32_t)WEXITSTATUS(status);
    w.answer.len = 0;
    return fail(11, "its worker process was ended from outside; try again");
}

static uint32_t call(const char *verb) {
    static const char *const verbs[] = {"ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION"};
    static const char versions[] = ", \"supportedVersions\": [" SUPPORTED "]}\n";
    char problem[128];
    size_t known = 0, count = 0, bytes = 0;
    const char *id = getenv("CNI_CONTAINERID");
    while (known < 6 && strcmp(verbs[known], verb) != 0) known++;
    for (char **v = environ; *v; v++)
        if (begins(*v, "CNI_")) count++, bytes += strlen(*v);
    if (getenv(MARKER)) return fail(7, "Multus was called by Multus: a delegate of its configuration is Multus itself");
    if (known == 6) return fail(4, "unknown CNI_COMMAND: %.64s", verb);
    if (known < 3 && (!id || !*id)) return fail(4, "required env variables [CNI_CONTAINERID] missing");
    if (known < 3 && !is_container_id(id, strlen(id))) return fail(4, "invalid characters in containerID");
    if (count > MAX_VARIABLES || bytes > MAX_VARIABLE_BYTES)
        return fail(4, "more than %d CNI_* variables, or %d bytes of them", MAX_VARIABLES, MAX_VARIABLE_BYTES);
    read_all(STDIN_FILENO, &w.input, MAX_DATA);
    if (w.input.len > MAX_DATA) return fail(5, "the configuration on stdin is larger than %d bytes", MAX_DATA);
    int code = conf_parse(&w.conf, (const char *)w.input.data, w.input.len, problem);
    if (known == 5) { /* VERSION is answered here, whatever else the configuration says */
        put_string("{\"cniVersion\": ", *w.conf.cni_version ? w.conf.cni_version : LATEST);
        add(&w.answer, versions, sizeof versions - 1);
        return 0;
    }
    if (code) return fail(code, "%s", problem);
    w.is_call = true, w.verb = verb;
    w.netns = getenv("CNI_NETNS") ? getenv("CNI_NETNS") : "";
    w.wait_ms = known == 4 ? 0 : known == 2 ? w.conf.delete_wait_ms : w.conf.wait_ms;
    w.patience_ms = known == 4 ? 2000 : w.wait_ms > 100000 ? w.wait_ms : 100000;
    return front();
}

/* In a container with hostPID pid 1 is the host's, and delegates run in its namespaces. Elsewhere they are ours too. */
static bool join_host(void) {
    int net = open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC), mnt = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
    bool good = net >= 0 && mnt >= 0 && (is_file(net, "/proc/self/ns/net") || setns(net, CLONE_NEWNET) == 0) &&
                (is_file(mnt, "/proc/self/ns/mnt") || setns(mnt, CLONE_NEWNS) == 0);
    shut(&net), shut(&mnt);
    return good;
}

static int agent(int count, char **directories) {
    char told[512] = "", line[512], ignored[128];
    bool good = count <= 2 && conf_parse(&w.conf, "{}", 2, ignored) == 0;
    for (int i = 0; good && i < count; i++)
        good = *directories[i] == '/' && strlen(directories[i]) <= (i == 0 ? MAX_SOCKET_DIR : MAX_PATH) &&
               strcpy(i == 0 ? w.conf.socket_dir : w.conf.bin_dir, directories[i]);
    if (!good) return fprintf(stderr, "usage: multus-shim --agent [SOCKET-DIRECTORY [PLUGIN-DIRECTORY]]\n"), 2;
    if (!join_host())
        return fprintf(stderr, "multus-shim: can't join the namespaces of pid 1: %s\n", strerror(errno)), 1;
    become_worker();
    w.patience_ms = INT32_MAX;
    for (w.started = now_ms(); !w.leaving; w.started = now_ms()) {
        enum ending ending = run_worker();
        snprintf(line, sizeof line, "multus-shim: %s%.*s\n", ending == ANSWERED ? "multus-daemon refused: " : w.why,
                 ending == ANSWERED ? (int)w.answer.len : 0, (char *)w.answer.data);
        if (ending != FRONT_GONE && strcmp(told, line) != 0) fputs(strcpy(told, line), stderr);
        if (ending != FRONT_GONE) poll(&(struct pollfd){.fd = w.signals, .events = POLLIN}, 1, 1000);
        drain_signals();
    }
    return 0;
}

static void own_process(void) { /* whatever the runtime left open, blocked or ignored is not ours to pass on */
    sigset_t none;
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 3) fd = dup(fd);
    if (syscall(SYS_close_range, 3u, ~0u, 0u) < 0) /* before Linux 5.9 */
        for (fd = 3; fd < 4096; fd++) close(fd);
    signal(SIGCHLD, SIG_DFL), signal(SIGPIPE, SIG_IGN), sigemptyset(&none), sigprocmask(SIG_SETMASK, &none, NULL);
}

int main(int argc, char **argv) {
    const char *verb = getenv("CNI_COMMAND"), *flag = argc > 1 ? argv[1] : "";
    own_process();
    w.started = now_ms();
    if (strcmp(flag, "--agent") == 0) return agent(argc - 2, argv + 2);
    const char *word = flag + strspn(flag, "-");
    if (*flag == '-' && (strcmp(word, "version") == 0 || strcmp(word, "v") == 0))
        return printf("multus-shim: version:%s, protocol:%d\n", MULTUS_VERSION, PROTOCOL_MAX) < 0;
    if (argc > 1) return fprintf(stderr, "usage: multus-shim [--version | --agent]; else a CNI plugin\n"), 2;
    if (!verb || !*verb)
        return fputs("meta-plugin that delegates to other CNI plugins: the part of multus-daemon on the host\n"
                     "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n", stderr) < 0;
    uint32_t code = call(verb);
    write_all(STDOUT_FILENO, w.answer.data, w.answer.len);
    return (int)code;
}
