package aegis

// sBox applies AES's S-box to 64 bytes, of which word i holds bit i. It is the circuit of Boyar and Peralta, "A
// depth-16 circuit for the AES S-box" (2011), of 32 ANDs and 83 XORs and NOTs, with the names that the paper gives; the
// paper counts bits from the highest. A test tries all 256 bytes.
func sBox(w *[8]uint64) {
	x0, x1, x2, x3, x4, x5, x6, x7 := w[7], w[6], w[5], w[4], w[3], w[2], w[1], w[0]

	// Into the tower field.
	y14, y13, y9, y8, t0 := x3^x5, x0^x6, x0^x3, x0^x5, x1^x2
	y1 := t0 ^ x7
	y4, y12, y2, y5 := y1^x3, y13^y14, y1^x0, y1^x6
	y3 := y5 ^ y8
	t1 := x4 ^ y12
	y15, y20 := t1^x5, t1^x1
	y6, y10, y11 := y15^x7, y15^t0, y20^y9
	y7, y17, y19, y16 := x7^y11, y10^y11, y10^y8, t0^y11
	y21, y18 := y13^y16, x0^y16

	// The inverse there.
	t2 := y12 & y15
	t4, t6 := y3&y6^t2, y4&x7^t2
	t7 := y13 & y16
	t9, t11 := y5&y1^t7, y2&y7^t7
	t12 := y9 & y11
	t14, t16 := y14&y17^t12, y8&y10^t12
	t21, t22, t23, t24 := t4^t14^y20, t6^t16^y19, t9^t14^y21, t11^t16^y18
	t25, t26 := t21^t22, t21&t23
	t27 := t24 ^ t26
	t29 := t25&t27 ^ t22
	t30, t31 := t23^t24, t22^t26
	t33 := t31&t30 ^ t24
	t34, t35 := t23^t33, t27^t33
	t36 := t24 & t35
	t37, t38 := t36^t34, t27^t36
	t40 := t25 ^ t29&t38
	t41, t42, t43, t44 := t40^t37, t29^t33, t29^t40, t33^t37
	t45 := t42 ^ t41
	z0, z1, z2, z3, z4, z5 := t44&y15, t37&y6, t33&x7, t43&y16, t40&y1, t29&y7
	z6, z7, z8, z9, z10, z11 := t42&y11, t45&y17, t41&y10, t44&y12, t37&y3, t33&y4
	z12, z13, z14, z15, z16, z17 := t43&y13, t40&y5, t29&y2, t42&y9, t45&y14, t41&y8

	// Back, with AES's affine map.
	t46, t47, t48, t49, t50, t51 := z15^z16, z10^z11, z5^z13, z9^z10, z2^z12, z2^z5
	t52, t53, t54, t55 := z7^z8, z0^z3, z6^z7, z16^z17
	t56, t57, t58, t59 := z12^t48, t50^t53, z4^t46, z3^t54
	t60, t61, t62, t63, t64 := t46^t57, z14^t57, t52^t58, t49^t58, z4^t59
	t65, t66 := t61^t62, z1^t63
	s3 := t53 ^ t66
	w[7] = t59 ^ t63
	w[6] = t64 ^ ^s3
	w[5] = t55 ^ ^(t64 ^ t65)
	w[4] = s3
	w[3] = t51 ^ t66
	w[2] = t47 ^ t65
	w[1] = t56 ^ ^t62
	w[0] = t48 ^ ^t60
}
