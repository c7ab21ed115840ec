package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
)

func TestRolesAreFoundByNameAndOtherCapitals(t *testing.T) {
	t.Parallel()
	grants := func(to string) auth.Grants { return auth.Grants{Send: []string{to}} }
	roles := auth.Roles{
		"ROLE_ADMIN": grants("/topic/admin"),
		"Ops":        grants("/topic/ops"), "OPS": grants("/topic/upper"), "oPs": grants("/topic/odd"),
	}
	for name, want := range map[string]string{
		"ROLE_ADMIN": "/topic/admin", "role_admin": "/topic/admin", "Role_Admin": "/topic/admin",
		"Ops": "/topic/ops", "OPS": "/topic/upper", "oPs": "/topic/odd",
	} {
		found, ok := roles.Find(name)
		require.True(t, ok, name)
		require.Equal(t, grants(want), found, name)
	}
	for _, name := range []string{"ops", "opS", "", "ROLE", "ROLE_ADMIN ", "ROLE_ADMINS"} {
		_, ok := roles.Find(name)
		require.False(t, ok, name)
	}
	_, ok := auth.Roles(nil).Find("")
	require.False(t, ok)
}
