package ops

import (
	"crypto/subtle"
	"net/http"
	"net/netip"
	"strings"
)

// Admin is what a process can be told to do, below /admin/.
type Admin struct {
	Token   string // what a request must show: Authorization: Bearer <token>
	Handler http.Handler
}

// adminBody is the most that a request may send.
const adminBody = 64 << 10

// guard lets only requests through that come from this machine and show the token. Neither is enough alone: other users of the machine, and
// pages in a browser on it, can reach the port.
func (a Admin) guard() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() {
			answerError(w, http.StatusForbidden, "orders are taken from this machine only")
			return
		}
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if a.Token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(a.Token)) != 1 {
			answerError(w, http.StatusUnauthorized, "the token is missing or wrong")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, adminBody)
		a.Handler.ServeHTTP(w, r)
	})
}
