package awstest

import (
	"net/http"
	"net/url"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// The services a request can be for.
const (
	serviceSTS = "sts"
	serviceS3  = "s3"
)

// request is one request on its way through the cloud: read, routed and, when
// it was signed, authenticated. Its URL is as a server sees it: path and query
// only, the escaped path exactly as sent.
type request struct {
	*http.Request
	body   []byte
	now    time.Time  // the server's clock
	caller *principal // nil: unsigned
	fault  *Fault     // nil: none strikes this request
	call   *Call      // what will be recorded: the handler fills Params
	id     string     // request id
	region string     // that the host names or the signature is for

	service     string     // serviceSTS or serviceS3
	bucket, key string     // S3: what host and path name, unescaped; may be empty
	secure      bool       // came by https
	form        url.Values // STS: the parameters
	trueNow     time.Time  // the cloud's clock, without a fault's ServerClock
}

// response is an answer before a transport writes it. Body bytes are not
// changed after this point, so that an object's data need not be copied. For a
// HEAD request the transport leaves the body out and sets Content-Length to the
// body's length, unless header has a Content-Length.
type response struct {
	status int
	header http.Header
	body   []byte
}

// principal is who signed a request.
type principal struct {
	account     *Account
	arn         string        // user ARN or assumed-role session ARN
	role        *Role         // nil for a user
	policy      *trust.Policy // identity policy in force now
	session     *trust.Policy // session policies, which must allow too; nil: none
	accessKeyID string

	userID string        // AIDA… of a user, AROA…:name of a session
	state  *session      // nil for a user
	keys   conditionKeys // that every request has, and those of the caller
}
