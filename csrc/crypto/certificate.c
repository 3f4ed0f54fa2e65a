/* Looking at PEM files. No state; any thread that may read the disk. */
#include "crypto/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

#define MAX_FILE ((size_t)4 * 1024 * 1024) /* a bundle of all CAs is 0.2 MiB */

static bool read_all(int fd, mp_buf *out) {
  char part[16384];
  ssize_t n;

  while ((n = read(fd, part, sizeof part)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    mp_buf_add(out, part, (size_t)n);
    if (out->failed != MP_OK) break;
  }
  OPENSSL_cleanse(part, sizeof part);
  return n == 0;
}

static mp_code read_file(const char *where, const char *name, const char *path, mp_buf *out,
                         mp_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  mp_code code = MP_OK;
  struct stat st;

  if (fd < 0) return mp_fail(err, MP_EINVAL, "%s.%s: %s: %s", where, name, path, strerror(errno));
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
    code = mp_fail(err, MP_EINVAL, "%s.%s: %s: expected a file", where, name, path);
  else if (!read_all(fd, out) && out->failed == MP_OK)
    code = mp_fail(err, MP_EINVAL, "%s.%s: %s: %s", where, name, path, strerror(errno));
  else if (out->failed == MP_E2BIG)
    code = mp_fail(err, MP_EINVAL, "%s.%s: %s: over 4 MiB", where, name, path);
  else if (out->failed != MP_OK)
    code = mp_fail(err, MP_ENOMEM, "out of memory");
  close(fd);
  return code;
}

/* There is nobody to ask for a pass phrase. */
static int no_pass_phrase(char *buf, int size, int writing, void *arg) {
  (void)buf;
  (void)size;
  (void)writing;
  *(bool *)arg = true;
  return -1;
}

/* What has been read of a file, and what was found in it. */
typedef struct pem {
  mp_buf text;
  BIO *bio;
} pem;

static mp_code open_pem(const char *where, const char *name, const char *path, pem *p,
                        mp_error *err) {
  mp_code code;

  *p = (pem){0};
  mp_buf_init(&p->text, MAX_FILE);
  code = read_file(where, name, path, &p->text, err);
  if (code != MP_OK) return code;
  p->bio = BIO_new_mem_buf(p->text.len ? p->text.data : "", (int)p->text.len);
  return p->bio ? MP_OK : mp_fail(err, MP_ENOMEM, "out of memory");
}

static void close_pem(pem *p) {
  BIO_free(p->bio);
  if (p->text.data) OPENSSL_cleanse(p->text.data, p->text.len);
  mp_buf_free(&p->text);
}

static mp_code read_certificate(const char *where, const char *name, const char *path, X509 **out,
                                mp_error *err) {
  pem p;
  mp_code code = open_pem(where, name, path, &p, err);

  *out = code == MP_OK ? PEM_read_bio_X509(p.bio, NULL, NULL, NULL) : NULL;
  if (code == MP_OK && !*out)
    code = mp_fail(err, MP_EINVAL, "%s.%s: %s: expected a certificate in PEM", where, name, path);
  close_pem(&p);
  return code;
}

static mp_code read_key(const char *where, const char *name, const char *path, EVP_PKEY **out,
                        mp_error *err) {
  bool asked = false;
  pem p;
  mp_code code = open_pem(where, name, path, &p, err);

  *out = code == MP_OK ? PEM_read_bio_PrivateKey(p.bio, NULL, no_pass_phrase, &asked) : NULL;
  if (code == MP_OK && !*out) {
    code = mp_fail(err, MP_EINVAL, "%s.%s: %s: expected a private key in PEM%s", where, name, path,
                   asked ? " without a pass phrase" : "");
  }
  close_pem(&p);
  return code;
}

static mp_code check_pair(const char *where, const char *cert, const char *key, mp_error *err) {
  X509 *certificate = NULL;
  EVP_PKEY *private = NULL;
  mp_code code = read_certificate(where, "cert", cert, &certificate, err);

  if (code == MP_OK) code = read_key(where, key ? "key" : "cert", key ? key : cert, &private, err);
  if (code == MP_OK && X509_check_private_key(certificate, private) != 1) {
    code =
        mp_fail(err, MP_EINVAL, "%s.key: is not that of the certificate in %s.cert", where, where);
  }
  EVP_PKEY_free(private);
  X509_free(certificate);
  return code;
}

mp_code mp_certificate_check(const char *where, const char *ca, const char *cert, const char *key,
                             mp_error *err) {
  X509 *authority = NULL;
  mp_code code = MP_OK;

  if (ca) code = read_certificate(where, "ca", ca, &authority, err);
  X509_free(authority);
  if (code == MP_OK && cert) code = check_pair(where, cert, key, err);
  ERR_clear_error(); /* the host may use OpenSSL on this thread too */
  return code;
}
