/* TLS options and failures. Delivery thread; the options are also made by the store thread. */
#include "http/tls_handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/start.h"

void mp_tls_free(mp_tls *tls) {
  free(tls->ca);
  free(tls->cert);
  free(tls->key);
  free(tls->pin);
  *tls = (mp_tls){0};
}

static bool copy(const char *from, char **to) {
  *to = from ? strdup(from) : NULL;
  return !from || *to;
}

bool mp_tls_copy(const mp_tls *from, mp_tls *to) {
  *to = (mp_tls){
      .only_1_3 = from->only_1_3, .insecure = from->insecure, .configured = from->configured};
  if (copy(from->ca, &to->ca) && copy(from->cert, &to->cert) && copy(from->key, &to->key) &&
      copy(from->pin, &to->pin)) {
    return true;
  }
  mp_tls_free(to);
  return false;
}

/* libcurl keeps connections and TLS sessions apart by all of these but the key, which belongs to
 * its certificate. Without a CA of its own a webhook trusts those that libcurl was built for: NULL
 * would mean none. */
bool mp_tls_apply(const mp_tls *tls, CURL *easy) {
  const curl_version_info_data *built = mp_curl_built();
  const char *ca = tls->ca ? tls->ca : built->cainfo;
  const char *folder = tls->ca ? NULL : built->capath;
  long version = tls->only_1_3 ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2;
  bool ok = true;

#define SET(option, value) ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK
  SET(CURLOPT_SSLVERSION, version);
  SET(CURLOPT_SSL_VERIFYPEER, tls->insecure ? 0L : 1L);
  SET(CURLOPT_SSL_VERIFYHOST, tls->insecure ? 0L : 2L);
  SET(CURLOPT_CAINFO, ca);
  SET(CURLOPT_CAPATH, folder);
  SET(CURLOPT_SSLCERT, tls->cert);
  SET(CURLOPT_SSLKEY, tls->cert && !tls->key ? tls->cert : tls->key);
  SET(CURLOPT_PINNEDPUBLICKEY, tls->pin);
#undef SET
  return ok;
}

/* ---- failures ------------------------------------------------------------------------------- */

/* Parts of what OpenSSL, and libcurl over it, say. The first that is there decides. */
static const struct {
  const char *part;
  const char *reason;
} reasons[] = {
    {"certificate has expired", "the receiver's certificate has expired"},
    {"certificate is not yet valid", "the receiver's certificate is not valid yet"},
    {"certificate revoked", "the receiver's certificate is revoked"},
    {"does not match target host name", "the receiver's certificate is for another host"},
    {"no alternative certificate subject name", "the receiver's certificate is for another host"},
    {"ostname mismatch", "the receiver's certificate is for another host"},
    {"IP address mismatch", "the receiver's certificate is for another host"},
    {"signed certificate in certificate chain",
     "the receiver's certificate is of an unknown CA (tls.ca can name it)"},
    {"get local issuer certificate",
     "the receiver's certificate is of an unknown CA (tls.ca can name it)"},
    {"get issuer certificate",
     "the receiver's certificate is of an unknown CA (tls.ca can name it)"},
    {"verify the first certificate",
     "the receiver's certificate is of an unknown CA (tls.ca can name it)"},
    {"self-signed certificate", "the receiver's certificate is self-signed (tls.ca can name it)"},
    {"self signed certificate", "the receiver's certificate is self-signed (tls.ca can name it)"},
    {"unsupported protocol", "the receiver's TLS is older than tls.minVersion"},
    {"alert protocol version", "the receiver's TLS is older than tls.minVersion"},
    {"wrong version number", "the receiver does not speak TLS at this port"},
    {"alert certificate required", "the receiver wants a client certificate (tls.cert)"},
    {"alert bad certificate", "the receiver refuses the client certificate (tls.cert)"},
    {"alert unknown ca", "the receiver refuses the client certificate (tls.cert)"},
    {"alert certificate expired", "the receiver refuses the client certificate (tls.cert)"},
    {"alert handshake failure",
     "the receiver refuses the handshake: it may want a client certificate (tls.cert)"},
};

static const char *reason_of(CURLcode code, const char *text) {
  switch (code) {
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
      return "the receiver's public key is not that of tls.pin";
    case CURLE_SSL_CACERT_BADFILE:
      return "the CAs cannot be read (tls.ca)";
    case CURLE_SSL_CERTPROBLEM:
      return "the client certificate or its key cannot be used (tls.cert, tls.key)";
    default:
      break;
  }
  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
    if (strstr(text, reasons[i].part)) return reasons[i].reason;
  }
  return NULL;
}

static bool is_tls(CURLcode code, const char *text) {
  switch (code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
      return true;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: /* with TLS 1.3 the receiver judges the client after the handshake */
      return strstr(text, "SSL") && strstr(text, " alert ");
    default:
      return false;
  }
}

const char *mp_tls_reason(CURLcode code, const char *text, char *out, size_t size) {
  const char *reason;

  if (!is_tls(code, text)) return NULL;
  reason = reason_of(code, text);
  snprintf(out, size, "%s%s%s", reason ? reason : "", reason ? ": " : "",
           text[0] ? text : curl_easy_strerror(code));
  return out;
}
