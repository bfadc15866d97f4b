-- Judges pairs by rpm itself: see ../../reference_test.go. rpm has the standard
-- input for itself, and expands macros in this text first: no percent signs.
for line in io.lines(os.getenv("PRATIQUE_PAIRS")) do
    local a, b = line:match("^([^\t]*)\t([^\t]*)$")
    if a == "" or b == "" then
        io.stdout:write("0 0 0\n")
    else
        io.stdout:write("1 1 ", math.tointeger(rpm.vercmp(a, b)), "\n")
    end
end
io.stdout:flush()
