module github.com/crossrole/crossrole/tools/release

go 1.26.0

require (
	github.com/CycloneDX/cyclonedx-go v0.12.0 // writes bills of materials
	github.com/google/go-containerregistry v0.22.1 // builds the image
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // checks bills against their schema, in tests
	golang.org/x/crypto/x509roots/fallback v0.0.0-20261030153154-30a33513ff6d // the CA certificates of the image
	golang.org/x/exp v0.0.0-20261113113407-e3970619a1a4 // apidiff: compares the exported names
	golang.org/x/mod v0.43.0 // versions, and the archive of a module
	golang.org/x/tools v0.52.1-0.20261106145633-d407941a339a // loads the packages for apidiff
)

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/klauspost/compress v1.19.2 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.14.0 // indirect
)
