/*
 * What a call can't be quicker than: runs plugins one after another, each with its recorded environment and input,
 * and keeps nothing of what they say.
 *
 *     loop PROGRAM ENVIRON STDIN [PROGRAM ENVIRON STDIN]...
 *
 * ENVIRON and STDIN are files, the former as /proc/PID/environ has it. Exits with 1 when a plugin fails.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGEST = 1 << 16, VARIABLES = 64 };

static size_t contents(const char *path, char *buffer)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t got;
    while (file >= 0 && (got = read(file, buffer + size, LARGEST - 1 - size)) > 0)
        size += (size_t)got;
    if (file < 0 || size == 0) {
        perror(path);
        exit(1);
    }
    close(file);
    buffer[size] = 0;
    return size;
}

static void variables(char *text, size_t size, char **environ_of)
{
    int count = 0;
    for (char *at = text; at < text + size && count < VARIABLES; count++) {
        environ_of[count] = at;
        while (*at++)
            ;
    }
    environ_of[count] = NULL;
}

static int run(char *program, const char *environ_file, const char *stdin_file)
{
    static char environ_text[LARGEST], input[LARGEST], output[LARGEST];
    char *environ_of[VARIABLES + 1], *arguments[] = {program, NULL};
    variables(environ_text, contents(environ_file, environ_text), environ_of);
    size_t size = contents(stdin_file, input);
    int in[2], out[2], status;
    pid_t pid;
    posix_spawn_file_actions_t actions;

    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || posix_spawn_file_actions_init(&actions))
        return -1;
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    if (posix_spawn(&pid, program, &actions, NULL, arguments, environ_of))
        return -1;
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    if (write(in[1], input, size) != (ssize_t)size)
        return -1;
    close(in[1]);
    while (read(out[0], output, sizeof output) > 0)
        ;
    close(out[0]);
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

int main(int count, char **arguments)
{
    for (int at = 1; at + 2 < count; at += 3)
        if (run(arguments[at], arguments[at + 1], arguments[at + 2])) {
            fprintf(stderr, "loop: %s %s failed\n", arguments[at], arguments[at + 1]);
            return 1;
        }
    return 0;
}
