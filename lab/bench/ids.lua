-- wrk asks for one path after the other: the URL's own, with each number from the first to the last after it.
-- wrk -s ids.lua <url> -- <first> <last>

local first, last, number, path

function init(arguments)
    first, last = tonumber(arguments[1]), tonumber(arguments[2])
    number, path = first, wrk.path
end

function request()
    number = number < last and number + 1 or first
    return wrk.format(nil, string.format("%s/%d", path, number))
end
