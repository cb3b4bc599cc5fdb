// Package s3reader reads objects of an S3 bucket.
//
// Start with [New].
package s3reader
