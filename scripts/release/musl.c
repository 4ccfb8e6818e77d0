/* Put beside gcc's unwinder where it is linked with musl. Built for a glibc of 2.35 or newer, it asks the C library where
 * a function's object has its frames, and musl cannot say: this can, by what musl does have. And it names some of the
 * C library's functions weakly, sure that they are there: named here, they are linked. */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

__attribute__((used)) static void *const needed[] = {
    (void *)pthread_once,       (void *)pthread_mutex_lock,  (void *)pthread_mutex_unlock,
    (void *)pthread_key_create, (void *)pthread_getspecific, (void *)pthread_setspecific,
};

/* As glibc lays it out on x86-64 (dlfcn.h). */
struct dl_find_object {
    unsigned long long flags;
    void *map_start, *map_end;
    struct link_map *link_map;
    void *eh_frame;
    unsigned long long reserved[7];
};

struct search {
    uintptr_t address;
    struct dl_find_object *found;
};

static int look(struct dl_phdr_info *object, size_t size, void *data) {
    (void)size;
    struct search *search = data;
    const ElfW(Phdr) *code = NULL, *frames = NULL;
    for (int n = 0; n < object->dlpi_phnum; n++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[n];
        if (part->p_type == PT_LOAD && search->address - (object->dlpi_addr + part->p_vaddr) < part->p_memsz)
            code = part;
        if (part->p_type == PT_GNU_EH_FRAME)
            frames = part;
    }
    if (!code || !frames)
        return 0;
    *search->found = (struct dl_find_object){
        .map_start = (void *)(object->dlpi_addr + code->p_vaddr),
        .map_end = (void *)(object->dlpi_addr + code->p_vaddr + code->p_memsz),
        .eh_frame = (void *)(object->dlpi_addr + frames->p_vaddr),
    };
    return 1;
}

int _dl_find_object(void *address, struct dl_find_object *found) {
    struct search search = {(uintptr_t)address, found};
    return dl_iterate_phdr(look, &search) == 1 ? 0 : -1;
}
