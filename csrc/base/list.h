/* An intrusive singly linked queue: the one container that is handed between threads (lock, detach
 * all, unlock, then work). Not locked itself. */
#ifndef MP_BASE_LIST_H
#define MP_BASE_LIST_H

#include <stddef.h>

typedef struct mp_node {
  struct mp_node *next;
} mp_node;

typedef struct mp_list {
  mp_node *head;
  mp_node *tail;
  size_t count;
} mp_list;

/* The struct that holds the node as its member. */
#define MP_CONTAINER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void mp_list_push(mp_list *l, mp_node *n) {
  n->next = NULL;
  if (l->tail)
    l->tail->next = n;
  else
    l->head = n;
  l->tail = n;
  l->count++;
}

static inline mp_node *mp_list_pop(mp_list *l) {
  mp_node *n = l->head;
  if (!n) return NULL;
  l->head = n->next;
  if (!l->head) l->tail = NULL;
  l->count--;
  n->next = NULL;
  return n;
}

/* Moves everything in from to the end of to. */
static inline void mp_list_append(mp_list *to, mp_list *from) {
  if (!from->head) return;
  if (to->tail)
    to->tail->next = from->head;
  else
    to->head = from->head;
  to->tail = from->tail;
  to->count += from->count;
  *from = (mp_list){0};
}

#endif
