// Package trust evaluates IAM trust policies for Kubernetes service-account
// tokens: it reads a token's claims, writes the policies that admit the token (or
// a hub role), and decides whether a policy admits a request.
//
// Start with [ParseToken] when you hold a token, with [WebIdentityPolicy] when
// you must write a trust policy, and with [Policy.Explain] when a policy
// refuses a request and you need to know why.
//
// Policies are read, checked and evaluated as the IAM User Guide says ("IAM
// JSON policy reference"); identity and bucket policies as well as trust
// policies. The package knows no service's actions, resource types or condition
// keys: that an action exists is not checked.
//
// The package uses nothing but the standard library, makes no call and opens
// no file. All functions are safe for concurrent use; a *Policy may be read
// from many goroutines while no goroutine changes it.
package trust
