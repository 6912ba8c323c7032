-- Has wrk's connections wait before each request, so that all of them together send at about a rate. It is no open loop:
-- the wait begins when an answer has come. wrk -s pace.lua <url> -- <rate> <connections>

local pace, connections, begun = 0, 0, 0

function init(arguments)
    connections = tonumber(arguments[2])
    pace = 1000 * connections / tonumber(arguments[1])
end

function delay()
    -- Their first requests are spread over one wait: they would all be sent at once for ever.
    if begun < connections then
        begun = begun + 1
        return math.floor(pace * begun / connections)
    end
    return pace
end
