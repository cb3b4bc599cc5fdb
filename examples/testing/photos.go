// Package photos is an example of a package that reads another account's bucket. Its
// test shows how to replace AWS with awstest: in memory, in parallel, without
// environment variables.
package photos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

// Album reads the photos of one animal.
type Album struct {
	pics   *s3reader.Reader
	animal string
}

// Open returns the album. In a pod, pass credentials.Assume(target) for the hub
// route, or no option for the direct route.
func Open(base aws.Config, animal string, routes ...func(*credentials.Options)) (*Album, error) {
	cfg, err := credentials.Wrap(base, routes...)
	if err != nil {
		return nil, err
	}
	pics, err := s3reader.New(cfg, "pics")
	if err != nil {
		return nil, err
	}
	return &Album{pics, animal}, nil
}

// Names lists the photos.
func (a *Album) Names(ctx context.Context) ([]string, error) {
	var names []string
	for info, err := range a.pics.List(ctx, a.animal+"/") {
		if err != nil {
			return nil, err
		}
		names = append(names, strings.TrimPrefix(info.Key, a.animal+"/"))
	}
	return names, nil
}

// ErrNoPhoto is returned if the album has no photo of that name.
var ErrNoPhoto = errors.New("photos: no such photo")

// Photo returns the bytes of a photo, or ErrNoPhoto.
func (a *Album) Photo(ctx context.Context, name string) ([]byte, error) {
	data, err := a.pics.Get(ctx, a.animal+"/"+name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoPhoto, name)
	}
	return data, err
}
