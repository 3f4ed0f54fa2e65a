/* The limit to reach: the same POSTs by a bare libcurl multi loop, which keeps nothing, checks
 * nothing, signs nothing and retries nothing. Easy handles, URL and header list are made once, with
 * the same fields as moonpost's requests. On one thread, or on several that each have a loop, and
 * their part of the requests and connections.
 *
 *   curl_multi URL REQUESTS CONNECTIONS BODY-FILE THREADS [CA-FILE]
 *
 * With a CA file it speaks HTTP/2 where the server offers it, all requests of a thread on
 * one connection. Prints
 * {"requests":N,"seconds":S,"cpu_seconds":C}; the exit status is 1 when an answer was not 200. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define MAX_THREADS 8

typedef struct job {
  CURLM *multi;
  CURL **easy; /* one for each connection */
  CURLU *url;
  struct curl_slist *headers;
  const char *ca; /* NULL: none */
  char *body;
  size_t body_len;
  long requests;
  long connections;
  long started;
  long done;
  long failed;
} job;

static _Noreturn void die(const char *what) {
  fprintf(stderr, "curl_multi: %s\n", what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void read_body(job *j, const char *path) {
  FILE *file = fopen(path, "rb");
  long size;

  if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) die(path);
  rewind(file);
  j->body_len = (size_t)size;
  j->body = malloc(j->body_len + 1);
  if (!j->body || fread(j->body, 1, j->body_len, file) != j->body_len) die(path);
  fclose(file);
}

static size_t ignore(char *bytes, size_t size, size_t n, void *arg) {
  (void)bytes;
  (void)arg;
  return size * n;
}

static const char *const fields[] = {
    "Content-Type: application/json",
    "X-Strapi-Event: entry.create",
    "User-Agent: moonpost/0.1.0",
    "webhook-id: evt_0000000000000",
    "webhook-timestamp: 1700000000",
    "webhook-signature: v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
};

static void set_up(const job *j, CURL *easy) {
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_CURLU, j->url);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, j->headers);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, j->body);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)j->body_len);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
  if (j->ca) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, j->ca);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
  } else {
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  }
}

static void start(job *j, CURL *easy) {
  if (curl_multi_add_handle(j->multi, easy) != CURLM_OK) die("cannot add a handle");
  j->started++;
}

static void take_done(job *j) {
  CURLMsg *message;
  int left;

  while ((message = curl_multi_info_read(j->multi, &left)) != NULL) {
    CURL *easy = message->easy_handle;
    long status = 0;

    if (message->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    j->done++;
    if (message->data.result != CURLE_OK || status != 200) j->failed++;
    curl_multi_remove_handle(j->multi, easy);
    if (j->started < j->requests) start(j, easy);
  }
}

static void *run(void *arg) {
  job *j = arg;
  long before;
  int running;

  for (long i = 0; i < j->connections && j->started < j->requests; i++)
    start(j, j->easy[i]);
  while (j->done < j->requests) {
    if (curl_multi_perform(j->multi, &running) != CURLM_OK) die("curl_multi_perform failed");
    before = j->done;
    take_done(j);
    if (j->done > before) continue; /* what was started goes out first */
    curl_multi_poll(j->multi, NULL, 0, 1000, NULL);
  }
  return NULL;
}

/* Its part of what all threads do together. */
static long part(long whole, long threads, long index) {
  return whole / threads + (index < whole % threads ? 1 : 0);
}

static void prepare(job *j, const char *url) {
  j->multi = curl_multi_init();
  j->url = curl_url();
  if (!j->multi || !j->url || curl_url_set(j->url, CURLUPART_URL, url, 0) != CURLUE_OK) {
    die("not a URL");
  }
  curl_multi_setopt(j->multi, CURLMOPT_MAXCONNECTS, j->connections);
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
    j->headers = curl_slist_append(j->headers, fields[i]);
  j->easy = calloc((size_t)j->connections, sizeof *j->easy);
  if (!j->easy) die("out of memory");
  for (long i = 0; i < j->connections; i++) {
    j->easy[i] = curl_easy_init();
    if (!j->easy[i]) die("out of memory");
    set_up(j, j->easy[i]);
  }
}

static void clean_up(job *j) {
  for (long i = 0; i < j->connections; i++)
    curl_easy_cleanup(j->easy[i]);
  free(j->easy);
  curl_multi_cleanup(j->multi);
  curl_slist_free_all(j->headers);
  curl_url_cleanup(j->url);
}

int main(int argc, char **argv) {
  job all = {0}, jobs[MAX_THREADS];
  pthread_t threads[MAX_THREADS];
  long count;
  double at, cpu;

  if (argc < 6) die("usage: curl_multi URL REQUESTS CONNECTIONS BODY-FILE THREADS [CA-FILE]");
  all.requests = strtol(argv[2], NULL, 10);
  all.connections = strtol(argv[3], NULL, 10);
  count = strtol(argv[5], NULL, 10);
  all.ca = argc > 6 ? argv[6] : NULL;
  if (count < 1 || count > MAX_THREADS) die("expected 1 to 8 threads");
  if (all.requests < count || all.connections < count) die("expected something for each thread");
  read_body(&all, argv[4]);
  if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK) die("libcurl did not start");
  for (long i = 0; i < count; i++) {
    jobs[i] = all;
    jobs[i].requests = part(all.requests, count, i);
    jobs[i].connections = part(all.connections, count, i);
    prepare(&jobs[i], argv[1]);
  }

  at = now();
  cpu = cpu_seconds();
  for (long i = 1; i < count; i++) {
    if (pthread_create(&threads[i], NULL, run, &jobs[i]) != 0) die("cannot start a thread");
  }
  run(&jobs[0]);
  for (long i = 1; i < count; i++)
    pthread_join(threads[i], NULL);
  at = now() - at;
  cpu = cpu_seconds() - cpu;

  for (long i = 0; i < count; i++) {
    all.done += jobs[i].done;
    all.failed += jobs[i].failed;
    clean_up(&jobs[i]);
  }
  printf("{\"requests\":%ld,\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n", all.done, at, cpu);
  free(all.body);
  if (all.failed > 0) fprintf(stderr, "curl_multi: %ld requests failed\n", all.failed);
  return all.failed > 0 ? 1 : 0;
}
