// Package trust says what an IAM trust policy says about a Kubernetes
// service-account token: it reads a token's claims, writes the policies that
// let the token (or a hub role) in, and decides whether a policy admits a
// request.
//
// Start with [ParseToken] when you hold a token, with [WebIdentityPolicy] when
// you must write a trust policy, and with [Policy.Explain] when a policy
// refuses and you need to know what it says.
//
// Policies are read, checked and evaluated as the IAM User Guide says ("IAM
// JSON policy reference"); identity and bucket policies as well as trust
// policies. The package knows no service's actions, resource types or condition
// keys: that an action exists is not checked.
//
// The package uses nothing but the standard library, makes no call and opens
// no file. All functions are safe for concurrent use; a *Policy may be read
// from many goroutines while nobody changes it.
package trust
