// Package awstest is an AWS in memory for tests: accounts, Kubernetes clusters
// that sign service-account tokens, OIDC providers, roles with their policies,
// STS and the reading half of S3. It refuses what AWS refuses, with AWS's codes.
//
// Start with [New].
package awstest
