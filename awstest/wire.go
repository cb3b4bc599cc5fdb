package awstest

import (
	"net/http"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// request is one request on its way through the cloud: read, routed and, when
// it was signed, authenticated.
type request struct {
	*http.Request
	body   []byte
	now    time.Time  // the server's clock
	caller *principal // nil: unsigned
	fault  *Fault     // nil: none strikes this request
	call   *Call      // what will be recorded: the handler fills Params
	id     string     // request id
	region string     // that the host names or the signature is for
}

// response is an answer before a transport writes it. Body bytes are not
// changed after this point, so that an object's data need not be copied.
type response struct {
	status int
	header http.Header
	body   []byte
}

// principal is who signed a request.
type principal struct {
	account     *Account
	arn         string          // user ARN or assumed-role session ARN
	role        *Role           // nil for a user
	policy      *trust.Policy   // identity policy in force now
	session     []*trust.Policy // session policies: each must allow too
	accessKeyID string
}

// authorize decides whether p may do action on resource, as IAM does for a
// request to an account's resource: within one account the identity policy or
// the resource policy must allow, across accounts both must; session policies
// must allow what the identity policy allows; a Deny anywhere wins.
func (c *Cloud) authorize(p *principal, owner *Account, action, resource string, resourcePolicy *trust.Policy, keys map[string][]string) bool {
	return false
}
