// Package trust evaluates IAM trust policies for Kubernetes service-account
// tokens: it reads a token's claims, writes the policies that admit the token (or
// a hub role), and decides whether a policy admits a request.
//
// Start with [ParseToken] if you have a token, with [WebIdentityPolicy] if you
// want to write a trust policy, and with [Policy.Explain] if a policy refuses a
// request and you want to know why.
//
// The package parses, validates and evaluates policies according to the IAM User
// Guide ("IAM JSON policy reference"): trust policies, identity policies and
// bucket policies. It does not know the actions, resource types and condition keys
// of the services, so it does not check whether an action exists.
//
// The package uses only the standard library, makes no requests and opens no
// files. All functions are safe for concurrent use; a *Policy may be read by many
// goroutines as long as none changes it.
package trust
