package capture

import (
	"fmt"
	"os/user"
	"strconv"
)

// User is whom a process can become to have no privileges.
type User struct {
	UID, GID int
	Home     string
}

// LookupUser finds the user of a name, who must not be root.
func LookupUser(name string) (User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return User{}, fmt.Errorf("become user %s: %w", name, err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return User{}, fmt.Errorf("become user %s: %w", name, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return User{}, fmt.Errorf("become user %s: %w", name, err)
	}
	if uid == 0 {
		return User{}, fmt.Errorf("become user %s: it has all privileges; to keep them, name no user", name)
	}
	return User{uid, gid, u.HomeDir}, nil
}
