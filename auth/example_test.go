package auth_test

import (
	"context"
	"fmt"
	"time"

	"github.com/stompbox/stompbox/auth"
)

func ExampleVerifier() {
	key, err := auth.NewSecretKey("", "HS256", []byte("an example secret of 32 or more bytes"))
	if err != nil {
		panic(err)
	}
	token, err := auth.Sign(key, auth.Claims{Subject: "alice", TTL: time.Hour, Grants: auth.Grants{Send: []string{"/topic/chat.*"}}})
	if err != nil {
		panic(err)
	}
	verifier, err := auth.NewVerifier(auth.VerifierOptions{Keys: auth.StaticKeys{key}})
	if err != nil {
		panic(err)
	}
	principal, err := verifier.Verify(context.Background(), token)
	if err != nil {
		panic(err)
	}
	fmt.Println(principal.Name, principal.Permissions.MaySend("/topic/chat.room1"), principal.Permissions.MaySend("/topic/news"))
	// Output: alice true false
}
