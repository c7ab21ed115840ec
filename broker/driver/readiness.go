package driver

// Readiness says whether a backend can be used now.
type Readiness interface {
	// NotReady says what is wrong, in words for operators, or is empty where nothing is. It may
	// be called concurrently, and does not block.
	NotReady() string
}
