/* Feeds arbitrary bytes to everything the shim interprets: the first byte chooses the frames or the configuration. With
 * clang this is a libFuzzer target; -DOWN_DRIVER adds a main() that mutates the files it is given, so gcc will do. */
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_frames(const uint8_t *data, size_t size) {
    struct buf in = {0}, out = {0};
    struct frame f;
    add(&in, data, size);
    while (frame_next(&in, &f) > 0) {
        static struct order order;
        struct reader r = {in.data + HEADER, in.data + HEADER + f.length, false};
        if ((f.type == EXEC || f.type >= THEN) && decode_exec(&order, r))
            for (size_t i = 0; i < order.count; i++)
                put_text(&out, order.variables[i].data, order.variables[i].len);
        struct text t = get_text(&r, MAX_PATH);
        size_t begun = frame_begin(&out, EXITED, f.id);
        put_text(&out, t.data, t.len);
        frame_end(&out, begun);
        drop(&in, HEADER + (size_t)f.length);
    }
    free(in.data);
    free(out.data);
}

static void fuzz_conf(const uint8_t *data, size_t size) {
    static struct conf conf;
    char problem[128], *copy = malloc(size + 1); /* so that a sanitizer sees every byte behind the end */
    int code = conf_parse(&conf, memcpy(copy, data, size), size, problem);
    if ((code != 0 && code != 6 && code != 7) || *conf.socket_dir != '/' || *conf.bin_dir != '/' ||
        *conf.cni_dir != '/' || strlen(problem) >= sizeof problem || conf.wait_ms < 0 || conf.wait_ms > 86400000)
        abort();
    if (is_container_id((const char *)data, size) && (memchr(data, '/', size) || *data == '.')) abort();
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 0 && *data & 1)
        fuzz_frames(data + 1, size - 1);
    else if (size > 0)
        fuzz_conf(data + 1, size - 1);
    return 0;
}

#ifdef OWN_DRIVER
int main(int argc, char **argv) { /* ROUNDS SEED FILE...: each file, then ROUNDS mutations of files chosen at random */
    static uint8_t bytes[1 << 16], changed[1 << 16];
    unsigned long rounds = argc > 3 ? strtoul(argv[1], NULL, 10) : 0;
    srand(argc > 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0);
    for (unsigned long round = 0; argc > 3 && round < rounds + (unsigned long)argc - 3; round++) {
        FILE *file = fopen(argv[3 + (round < (unsigned long)argc - 3 ? (int)round : rand() % (argc - 3))], "rb");
        size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
        if (!file || fclose(file) != 0 || size == 0) return 2;
        memcpy(changed, bytes, size);
        for (int edit = rand() % 8; round >= (unsigned long)argc - 3 && edit > 0; edit--) {
            size_t at = (size_t)rand() % size, from = (size_t)rand() % size, most = size - (at > from ? at : from);
            if (edit & 1)
                changed[at] = (uint8_t)(rand() & 1 ? rand() : "\0\1\377\"\\{}[],:u/.0"[rand() % 16]);
            else
                memmove(changed + at, bytes + from, (size_t)rand() % (most + 1));
        }
        bool cut = round >= (unsigned long)argc - 3 && rand() % 4 == 0;
        LLVMFuzzerTestOneInput(changed, cut ? (size_t)rand() % size + 1 : size);
    }
    return argc > 3 ? 0 : 2;
}
#endif
