-- wrk's requests get a JSON body of about so many kilobytes, which express.json parses before the route is looked for.
-- wrk -s body.lua <url> -- <kilobytes>

function init(arguments)
    local fields = {}
    for number = 1, tonumber(arguments[1]) * 1024 / 32 do
        fields[number] = string.format('{"id":%06d,"ok":[true,null]}', 100000 + number)
    end
    wrk.body = "[" .. table.concat(fields, ",") .. "]"
    wrk.headers["Content-Type"] = "application/json"
end
