package store_test

import (
	"os"
	"testing"

	"github.com/pratique/pratique/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
