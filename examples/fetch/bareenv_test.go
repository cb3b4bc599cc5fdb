package main

import (
	"testing"

	"github.com/crossrole/crossrole/internal/bareenv"
)

func TestMain(m *testing.M) { bareenv.Main(m) }
